# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and classes of one's own: from config/train/my_robot.yaml to a model that runs alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from miniature_trees import make_tree
from tiny import tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.files import share
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.training import loop
from sparse_seg_ros.training.config import beside, read_config
from sparse_seg_ros.training.start import start_model

NAMES = ('grass', 'path', 'crate', 'person', 'sky')
LABELS = 'classes:\n' + ''.join(f'  {name}: [{50 * number}, 100, 0]\n'
                                for number, name in enumerate(NAMES))
SMALL = {'crop_hw': [48, 64], 'batch_size': 2, 'epochs': 2, 'validate_every': 2,
         'precision': 'fp32', 'planes': [4, 8]}
train = partial(loop.train, device='cpu')


@pytest.fixture(name='robot')
def make_frames(tmp_path):
    """Return a folder as a user makes it: pictures, lists, labels.yaml and the shipped YAMLs."""
    folder, random = tmp_path / 'my_robot', np.random.default_rng(0)
    folder.mkdir()
    for split, count in (('train', 4), ('val', 2)):
        lines = []
        for index in range(count):
            label = np.repeat(random.permutation(5).astype(np.uint8), 20)[:, None].repeat(128, 1)
            image = 50 * label[..., None] + random.integers(0, 30, (100, 128, 3), np.uint8)
            cv2.imwrite(str(folder / f'{split}{index}.png'), image.astype(np.uint8))
            cv2.imwrite(str(folder / f'{split}{index}_ids.png'), label)
            lines.append(f'{split}{index}.png {split}{index}_ids.png\n')
        (folder / f'{split}.txt').write_text(''.join(lines))
    (folder / 'labels.yaml').write_text(LABELS)
    for name in ('my_robot', 'my_robot_refiner'):
        shutil.copy(share() / f'config/train/{name}.yaml', folder)
    return folder


def config_of(robot, name='my_robot', **changes):
    return read_config(robot / f'{name}.yaml', {**SMALL, **changes})


def test_the_shipped_settings_train_validate_refine_and_run_on_a_robot(robot, monkeypatch):
    monkeypatch.chdir(robot.parent)  # from where the lines of the files are run
    path = train(config_of(robot), 'runs/my_robot')
    refined = train(config_of(robot, 'my_robot_refiner'), 'runs/my_robot_refined')
    assert main(['export', 'weights', '--model', str(refined), '-o', 'packed.safetensors']) == 0
    shutil.rmtree(robot)  # on the robot there is the file alone
    for model in (path, 'packed.safetensors'):
        labels = ss.load(model, device='cpu', precision='fp32').labels
        assert (labels.name, labels.names) == ('labels', NAMES)
        assert labels.colors[1] == (50, 100, 0)
    lines = [json.loads(line) for line in open('runs/my_robot/metrics.jsonl')]
    assert [line['epoch'] for line in lines] == [1, 2] and 0 <= lines[1]['val_miou'] <= 1


def test_a_model_that_ships_is_told_from_its_name(robot):
    config = replace(config_of(robot, 'my_robot_refiner'), start_from='demo_full')
    with pytest.raises(ValueError, match='demo_full was trained for the classes sky, .*; label set'
                                         " .*labels.yaml has grass, path, .*; set 'labels' to"):
        start_model(config)
    assert start_model(replace(config, labels='camvid')).card.planes == (4, 8)


def test_a_model_of_other_names_is_started_from_with_a_warning(robot, caplog):
    save_model(tiny_model(refines=False, classes=('a', 'b', 'c', 'd', 'e')), robot / 'other')
    start_model(replace(config_of(robot), network='compact', start_from=str(
        (robot / 'other').rename(robot / 'other.safetensors'))))
    assert 'was trained for the classes a, b, c, d, e; label set' in caplog.text


def spoil_validation(robot):
    ids = cv2.imread(str(robot / 'val1_ids.png'), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(robot / 'val1_ids.png'), ids + 1)


def spoil_training(robot):
    ids = cv2.imread(str(robot / 'train3_ids.png'), cv2.IMREAD_UNCHANGED)
    ids[1, 1] = 7
    cv2.imwrite(str(robot / 'train3_ids.png'), ids)


@pytest.mark.parametrize(('spoil', 'changes', 'error', 'words'), [
    (None, {'labels': 'lables.yaml'}, FileNotFoundError, "no label set 'lables.yaml' at "),
    (None, {'validation': 'absent'}, FileNotFoundError, 'no split file absent.txt'),
    (None, {'splits': ['absent']}, FileNotFoundError, 'no split file absent.txt'),
    (None, {'start_from': 'absent.safetensors'}, FileNotFoundError, 'no weights file absent.saf'),
    (None, {'teacher': 'absent'}, ValueError, "no model 'absent' in models/zoo.yaml"),
    (None, {'labels': 'camvid'}, ValueError, 'the frames have the classes grass, .*, label set'),
    (spoil_validation, {}, ValueError, 'val1_ids.png: labels must be below 5 or 255 .*, got 5'),
    (spoil_training, {}, ValueError, 'train3_ids.png: labels must be below 5 or 255 .*, got 7'),
    (lambda robot: (robot / 'val0.png').write_bytes(b'\x89PNG'), {}, ValueError, 'val0.png: '),
    (lambda robot: [cv2.imwrite(str(path), np.full((100, 128), 255, np.uint8))
                    for path in robot.glob('train*_ids.png')], {}, ValueError,
     'the frames have no labelled pixels'),
])
def test_what_a_run_will_need_is_looked_at_before_its_first_step(robot, spoil, changes, error,
                                                                words):
    if spoil is not None:
        spoil(robot)
    with pytest.raises(error, match=words):
        train(config_of(robot, network='compact', **changes), robot / 'run')
    assert not (robot / 'run').exists()


def test_a_disk_that_is_too_small_is_seen_before_the_first_step(robot, monkeypatch):
    used = shutil.disk_usage(robot)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: used._replace(free=1_000_000))
    with pytest.raises(OSError, match='the weights of this training need 0.1.* GB in .*, 0.00 GB'):
        train(config_of(robot, network='compact'), robot / 'run')
    with pytest.raises(OSError, match='300 rendered scenes need 2.52 GB in .*cache'):
        train(config_of(robot, network='compact', labels='camvid', splits=[], validation=None,
                        street_frames=300, cache=str(robot / 'cache')), robot / 'run')


def test_paths_count_from_the_file_or_else_from_where_one_is(robot):
    content = {'labels': 'labels.yaml', 'splits': ['train', '../elsewhere/train', 'my_robot.yaml'],
               'validation': None, 'start_from': 'demo', 'cache': 'train', 'epochs': 3}
    assert beside(content, robot) == {
        **content, 'labels': str(robot / 'labels.yaml'),
        'splits': [str(robot / 'train'), '../elsewhere/train', str(robot / 'my_robot.yaml')]}
    (robot / 'camvid').mkdir()
    assert beside({'labels': 'camvid'}, robot) == {'labels': 'camvid'}


def test_paths_of_data_sets_count_from_the_file_too(robot):
    make_tree('cityscapes', robot / 'my city')
    content = {'splits': ['cityscapes:my city/val', 'voc:../elsewhere/VOC2012/train'],
               'validation': 'cityscapes:my city/val'}
    here = f'cityscapes:{robot}/my city/val'
    assert beside(content, robot) == {'splits': [here, content['splits'][1]], 'validation': here}


def test_a_run_learns_from_a_data_set_in_its_published_folders(robot):
    split = make_tree('cityscapes', robot / 'city', size_hw=(64, 96))
    config = config_of(robot, network='compact', labels='cityscapes', splits=[split],
                       validation=split, epochs=1)
    assert train(config, robot / 'run')
    with pytest.raises(ValueError, match='the frames have the classes road, .* camvid has sky'):
        train(replace(config, labels='camvid'), robot / 'other')


def test_the_card_of_a_run_has_no_more_than_names_and_colours(robot):
    card = load_model(train(config_of(robot, network='compact', epochs=1), robot / 'run')).card
    assert (card.labels, card.classes, card.colors[4]) == ('labels', NAMES, (200, 100, 0))


def test_a_network_of_other_classes_gives_all_but_its_classifier(robot, caplog):
    model = start_model(replace(config_of(robot), start_from='demo'))
    own, demo = model.network.state_dict(), load_model(
        share() / 'models/demo.safetensors').network.state_dict()
    other = {key for key in own if own[key].shape != demo[key].shape}
    assert {key.partition('.')[0] for key in other} == {'head', 'coarse_head'}
    assert all(own[key].equal(demo[key]) for key in own.keys() - other)
    assert 'label set' in caplog.text and 'all is taken but what belongs to the c' in caplog.text
    assert (model.card.classes, model.card.planes) == (NAMES, ())
    with pytest.raises(ValueError, match="set 'labels' to those of the model"):
        start_model(replace(config_of(robot, 'my_robot_refiner'), start_from='demo'))
