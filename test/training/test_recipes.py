# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Every YAML of config/train starts on a miniature data set, for two steps.

All of a recipe's settings are read and used, but for sizes: views, batches and frames are small,
refiners have three stages, and LRFormer, HRNet and Segmenter are built with few channels. Weights
that a recipe names are drawn at random, in the layout of their files.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from edgetpu_oracle import released_tensors
from miniature_trees import TREES, make_tree
from safetensors.torch import save_file
from tiny import TinyHRNet, TinyLRFormer

from sparse_seg_ros.data.datasets import kind_of
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading.backbones import backbone_of
from sparse_seg_ros.loading.checkpoints import build_model, save_model
from sparse_seg_ros.model_card import ModelCard
from sparse_seg_ros.networks import CLASSIFIERS, NETWORKS
from sparse_seg_ros.networks.lrformer.classifier import LRFormerClassifier
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.training.config import read_config
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.objectives import refining_method

RECIPES = sorted((Path(__file__).parents[2] / 'config' / 'train').glob('*.yaml'))
NETWORK_OF = {'hrnet_w48': 'hrnet_w48', 'cityscapes_0.5': 'deeplab_edgetpu',
              'lrformer_t': 'lrformer_t', 'lrformer_s_imagenet': 'lrformer_s_classifier',
              'segmenter_t': 'segmenter_t'}  # begin of a file's name: network in it


class TinyClassifier(LRFormerClassifier):
    """The backbone of TinyLRFormer, as a classifier."""

    variant = TinyLRFormer.variant


class ShallowSegmenter(SegmenterViT):
    """Segmenter with narrow blocks, as many as in the published ones."""

    def __init__(self, num_classes: int):
        super().__init__(64, 16, 64, 12, 1, num_classes)


@pytest.fixture(name='small_networks')
def make_small_networks(monkeypatch):
    monkeypatch.setitem(NETWORKS, 'hrnet_w48', TinyHRNet)
    for size in ('t', 's'):
        monkeypatch.setitem(NETWORKS, f'lrformer_{size}', TinyLRFormer)
        monkeypatch.setitem(CLASSIFIERS, f'lrformer_{size}_classifier', TinyClassifier)
    for name in ('segmenter_t', 'segmenter_s'):
        monkeypatch.setitem(NETWORKS, name, ShallowSegmenter)


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_a_recipe_starts(path, tmp_path, small_networks):
    recipe = read_config(path)
    config = replace(shrunken(recipe), **frames_for(recipe, tmp_path))
    config = replace(config, **weights_for(config, tmp_path))
    model = train(config, tmp_path / 'run', device='cpu')
    assert model.is_file()
    assert 'loss' in (tmp_path / 'run' / 'metrics.jsonl').read_text()


def shrunken(recipe):
    """Return a recipe for small views and two steps; what is no size or number stays."""
    street = {'street_frames': 2, 'street_size_hw': (128, 256)} if recipe.street_frames else {}
    window = {'window': (64, 64), 'stride': scaled_stride(recipe)} if recipe.window else {}
    return replace(
        recipe, crop_hw=(64, 64),
        batch_size=2, epochs=2, validate_every=2, precision='fp32', planes=recipe.planes[:3],
        short_side=recipe.short_side and 64, long_side=recipe.long_side and 256,
        validation_streets=min(1, recipe.validation_streets), **street, **window)


def scaled_stride(recipe):
    """Return the stride whose share of the window is the recipe's."""
    return tuple(math.ceil(64 * step / side) for step, side in zip(
        recipe.stride or recipe.window, recipe.window))


def frames_for(recipe, folder):
    """Return splits and validation in miniature, of the kinds that a recipe names."""
    if recipe.stage == 'classifier':
        return {'splits': (picture_folder(folder),), 'validation': picture_folder(folder)}
    labels = recipe.labels if not Path(recipe.labels).suffix else str(label_file(folder))
    splits = tuple(frames_like(split, recipe, folder, labels) for split in recipe.splits)
    validation = recipe.validation and frames_like(recipe.validation, recipe, folder, labels)
    return {'labels': labels, 'splits': splits, 'validation': validation,
            'cache': str(folder / 'cache')}


def frames_like(split, recipe, folder, labels):
    """Return the name of a miniature of a split: of the same data set, listed, or unlabelled."""
    kind = kind_of(split)
    if kind:
        assert kind[0] in TREES
        return make_tree(kind[0], folder / kind[0], kind[1].name, size_hw=(64, 128))
    random = np.random.default_rng(0)
    image, label = folder / 'a.png', folder / 'b.png'
    cv2.imwrite(str(image), random.integers(0, 256, (64, 128, 3), np.uint8))
    cv2.imwrite(str(label), random.integers(0, 2, (64, 128), np.uint8))
    is_plain = recipe.teacher and recipe.stage == 'refiner' and recipe.labels == 'cityscapes'
    (folder / 'few.txt').write_text(('a.png\n' if is_plain else 'a.png b.png\n') * 2)
    return str(folder / 'few')


def label_file(folder):
    path = folder / 'labels.yaml'
    path.write_text('classes:\n  grass: [0, 160, 0]\n  path: [120, 100, 80]\n')
    return path


def picture_folder(folder):
    for name in ('cat', 'dog'):
        (folder / 'pictures' / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / 'pictures' / name / '0.png'), np.zeros((64, 64, 3), np.uint8))
    return str(folder / 'pictures')


def weights_for(config, folder):
    """Return files of random weights in place of those that a recipe names."""
    made = {name: str(model_file(config, getattr(config, name), folder / f'{name}.safetensors'))
            for name in ('start_from', 'teacher') if getattr(config, name)}
    if config.start_from and config.start_from == config.teacher:
        made['teacher'] = made['start_from']
    if config.backbone:
        made['backbone'] = str(backbone_file(config, folder / 'backbone.safetensors'))
    return made


def model_file(config, name, path):
    """Write a model with random weights, as the named one would be."""
    if config.out_of_fold_networks:
        raise AssertionError('no recipe names out-of-fold networks')
    stem = Path(name).stem if Path(name).stem != 'model' else Path(name).parent.name
    network = next((own for start, own in NETWORK_OF.items() if stem.startswith(start)),
                   'mobilenet_edgetpu')
    kind = (NETWORKS | CLASSIFIERS)[network]
    label_set = load_labels(config.labels)
    names = ('cat', 'dog') if network in CLASSIFIERS else label_set.names
    scale = 1.0 if network in CLASSIFIERS else config.scale
    torch.manual_seed(0)
    save_model(build_model(ModelCard(network, names, '', kind.mean, kind.std, scale=scale)), path)
    assert config.stage == 'dense' or refining_method(config.stage)
    return path


def backbone_file(config, path):
    """Write random weights in the layout that a recipe's backbone is published in."""
    if config.network == 'mobilenet_edgetpu':
        save_file(released_tensors(), path)
        return path
    backbone = backbone_of(NETWORKS[config.network](2))
    save_file({key: tensor.contiguous() for key, tensor in backbone.state_dict().items()}, path)
    return path
