# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Classifiers: trained on folders of pictures, then the start of a segmentation."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tiny import TinyClassifier, TinyLRFormer

import sparse_seg_ros as ss
from sparse_seg_ros.data.augmentation import PictureAugmentation, fit
from sparse_seg_ros.loading.checkpoints import load_model
from sparse_seg_ros.networks import CLASSIFIERS, NETWORKS
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.start import start_model

COLORS = {'meadow': (40, 200, 60), 'sea': (200, 80, 30)}  # BGR


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setitem(CLASSIFIERS, 'lrformer_t_classifier', TinyClassifier)
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)


@pytest.fixture(name='folder')
def make_pictures(tmp_path):
    random = np.random.default_rng(0)
    for name, color in COLORS.items():
        (tmp_path / 'pictures' / name).mkdir(parents=True)
        for number in range(4):
            noise = random.integers(-30, 30, (40 + 8 * number, 50, 3))
            cv2.imwrite(str(tmp_path / f'pictures/{name}/{number}.png'),
                        np.clip(noise + color, 0, 255).astype(np.uint8))
    return tmp_path / 'pictures'


@pytest.fixture(name='config')
def make_config(folder):
    return TrainConfig(stage='classifier', network='lrformer_t_classifier', splits=(str(folder),),
                       validation=str(folder), scales=(1.0, 1.5), crop_hw=(32, 32), batch_size=4,
                       epochs=24, learning_rate=0.01, averaging=0.0, balance=0.0, drop_path=0.0,
                       validate_every=8, precision='fp32', warmup_steps=2)


def test_it_learns_and_becomes_the_start_of_a_segmentation(tmp_path, config):
    path = train(config, tmp_path / 'run')
    lines = [json.loads(line) for line in
             (tmp_path / 'run/metrics.jsonl').read_text().splitlines()]
    assert lines[-1]['loss'] < 0.5 * lines[0]['loss'] and lines[-1]['val_top1'] == 1
    trained = load_model(path)
    assert trained.card.classes == ('meadow', 'sea')
    dense = replace(config, stage='dense', network='lrformer_t', start_from=str(path), splits=())
    model = start_model(dense)
    expected = trained.network.backbone.state_dict()
    own = model.network.backbone.state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in expected.items())
    assert model.card.network == 'lrformer_t' and 'classifier' in model.card.training
    with pytest.raises(ValueError, match="whose backbone network 'lrformer_s' does not have; set"):
        start_model(replace(dense, network='lrformer_s'))
    with pytest.raises(ValueError, match='tells what a picture shows, not what its pixels are'):
        ss.load(path, device='cpu')


@pytest.mark.parametrize(('spoil', 'text'), [
    (lambda folder: [path.unlink() for path in folder.glob('sea/*')],
     'sea holds no pictures .* add some or remove the folder'),
    (lambda folder: (folder / 'sea').rename(folder.parent / 'sea'),
     'must hold at least two folders of pictures, one per class; got 1'),
    (lambda folder: (folder / 'sea/1.png').write_bytes(b'no picture'),
     '1.png: not a readable picture; is the file complete'),
], ids=['empty', 'one-class', 'unreadable'])
def test_folders_that_can_not_be_learnt_from_are_refused(tmp_path, config, folder, spoil, text):
    spoil(folder)
    with pytest.raises(ValueError, match=text):
        train(config, tmp_path / 'run')


def test_settings_that_do_not_fit_a_classifier_are_refused(tmp_path, config, folder):
    (tmp_path / 'other/meadow').mkdir(parents=True)
    (tmp_path / 'other/road').mkdir()
    for name in ('meadow', 'road'):
        cv2.imwrite(str(tmp_path / f'other/{name}/0.png'), np.zeros((8, 8, 3), np.uint8))
    for change, error, text in (
            ({'splits': ()}, ValueError, "a classifier needs one folder in 'splits'"),
            ({'splits': (str(tmp_path / 'absent'),)}, FileNotFoundError, 'no picture folder'),
            ({'network': 'lrformer_t'}, ValueError, "can not train network 'lrformer_t'; did you"),
            ({'batch_size': 99}, ValueError, '8 frames do not fill one batch of 99; give more'),
            ({'validation': str(tmp_path / 'other'), 'epochs': 1}, ValueError,
             "must hold the same classes; only one has 'road'")):
        with pytest.raises(error, match=text):
            train(replace(config, **change), tmp_path / 'run')


def test_a_view_shows_all_of_a_picture_at_scale_one():
    image = np.zeros((30, 60, 3), np.uint8)
    image[:, 20:40] = 255
    assert fit(image, (20, 20)).shape == (20, 40, 3)
    view, label = PictureAugmentation((30, 60), (1.0, 1.0), jitter=0.0)(
        image, 3, np.random.default_rng(0))
    assert np.array_equal(view, image) and label == 3
