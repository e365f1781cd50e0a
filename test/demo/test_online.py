# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag played into the node: what came back, how late, and how true it was in time."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from tiny import tiny_model

from sparse_seg_ros.bags.street_bag import LABEL_TOPIC, write_street_bag
from sparse_seg_ros.commands import main
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.demo.online import (
    Joined,
    OnlineJob,
    check_node,
    figures,
    held_masks,
    score_masks,
)
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.loading.zoo import load

SIZE_HW, FRAMES = (96, 160), 5
needs_ros = pytest.mark.skipif(importlib.util.find_spec('rclpy') is None, reason='no rclpy')

# Images 1 to 4 a second apart; the mask of 1 takes 1.5 s, that of 3 comes after half a second.
PLAYED = {'sent': 4, 'seconds': 4.0, 'sent_seconds': [[1, 0.0], [2, 1.0], [3, 2.0], [4, 3.0]],
          'masked_seconds': [[1, 1.5], [3, 2.5]], 'engine': {},
          'counters': {'received': 3, 'waiting': 0, 'published': 2, 'superseded': 1}}


class Masks:
    """Masks of one class each, by stamp."""

    def __init__(self, values: dict[int, int]):
        self.masks = values

    def mask(self, stamp: int) -> np.ndarray:
        return np.full((2, 3), self.masks[stamp], np.uint8)


def test_consumers_have_the_newest_mask_that_came_before_each_image():
    assert list(held_masks(PLAYED)) == [(1, None, 0.0), (2, None, 0.0), (3, 1, 2.0), (4, 3, 1.0)]
    report = figures(PLAYED)
    assert report['not_received'] == 1 and report['superseded'] == 1
    assert report['latency_ms']['p50'] == 1000.0  # 1.5 s and 0.5 s
    assert report['age_ms']['p50'] == 1500.0


def test_streaming_accuracy_is_of_what_consumers_had():
    scores = Joined(PLAYED, Masks({1: 0, 3: 1}), 2)
    for stamp, true in ((1, 0), (2, 0), (3, 1), (4, 1), (9, 0)):  # no image 9 was sent
        scores.add(stamp, np.full((2, 3), true, np.uint8))
    report = scores.report(('a', 'b'))
    assert (report['labelled'], report['scored'], report['miou']) == (4, 2, 1.0)
    # a: 12 pixels true, none in time, 6 taken for b's image 3; b: 6 of 12 right.
    assert report['streaming_iou'] == {'a': 0.0, 'b': 0.5}
    assert report['streaming_miou'] == 0.25


def test_a_label_that_cannot_be_used_costs_its_own_frame_alone():
    def frame(stamp, shape=(2, 3)):
        return Frame(f'image {stamp}', np.zeros, lambda: np.zeros(shape, np.uint8), stamp)

    def truth():
        yield from (frame(1, (1, 3)), frame(2), frame(3), frame(4, (9, 9)))
        raise ValueError('no label fits')

    scores = Joined(PLAYED, Masks({1: 0, 3: 0}), 2)
    errors = score_masks(scores, truth())
    assert [error.partition(' ')[0] for error in errors] == ['image', 'image', 'no']
    assert errors[1].startswith('image 4: prediction (2, 3) and truth (9, 9) must have')
    report = scores.report(('a', 'b'))
    assert (report['labelled'], report['scored']) == (2, 1)


@needs_ros
def test_labels_of_other_classes_are_refused_before_the_bag_is_played(tmp_path, capsys):
    write_street_bag(tmp_path / 'bag', Street(3, SIZE_HW), 1, lambda indices: indices)
    save_model(tiny_model(), tmp_path / 'tiny.safetensors')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / '0.png').write_bytes(b'')
    (tmp_path / 'labels' / 'labels.yaml').write_text('classes: {road: [0, 255, 0]}')
    assert main(['replay', '--bag', f'{tmp_path}/bag', '--model', f'{tmp_path}/tiny.safetensors',
                 '--labels', f'{tmp_path}/labels', '-o', f'{tmp_path}/on', '--online']) == 1
    assert 'the frames have the classes road, the model has sky' in capsys.readouterr().err
    assert not (tmp_path / 'on').exists()


@needs_ros
def test_a_labelled_bag_is_played_into_the_node_and_scored(tmp_path, capsys):
    write_street_bag(tmp_path / 'bag', Street(3, SIZE_HW), FRAMES, lambda indices: indices)
    save_model(tiny_model(alpha=2.2), tmp_path / 'tiny.safetensors')
    words = ['replay', '--bag', f'{tmp_path}/bag', '--model', f'{tmp_path}/tiny.safetensors',
             '--labels', LABEL_TOPIC, '--device', 'cpu', '--precision', 'fp32']
    assert main([*words, '-o', f'{tmp_path}/on', '--online', '--rate', '0.3',
                 '--json', f'{tmp_path}/on.json']) == 0
    assert main([*words, '-o', f'{tmp_path}/off', '--json', f'{tmp_path}/off.json']) == 0
    online, offline = (json.loads((tmp_path / f'{name}.json').read_text())
                       for name in ('on', 'off'))
    assert online['published'] == online['sent'] == online['scored'] == FRAMES
    assert online['miou'] == pytest.approx(offline['miou'], abs=1e-5)
    assert 0 < online['latency_ms']['p50'] <= online['latency_ms']['p99']
    assert online['streaming_miou'] < online['miou']  # nothing is known at the first image
    assert 'of what consumers had at each frame' in capsys.readouterr().out


def test_a_node_that_runs_other_weights_is_not_scored_as_the_model_named(tmp_path):
    save_model(tiny_model(), tmp_path / 'tiny.safetensors')
    job = OnlineJob(tmp_path / 'bag', tmp_path / 'out', model=f'{tmp_path}/tiny.safetensors',
                    attaches=True)
    own = load(job.model, 'cpu', 'fp32').weights['sha256']
    check_node(job, {'weights_hash': own})
    with pytest.raises(ValueError, match='the node runs demo, not .*tiny.safetensors, so its'):
        check_node(job, {'weights_hash': '0' * 64, 'model': 'demo'})


@pytest.mark.parametrize(('words', 'message'), [
    ('--online --pictures a.png', '--online takes a --bag, and no --preview or --remap'),
    ('--bag a --rate 2', '--rate and --attach go with --online'),
    ('--bag a --online --rate 0', '--rate must be above 0, got 0')])
def test_options_that_do_not_go_together_are_refused(tmp_path, capsys, words, message):
    assert main(['replay', '-o', f'{tmp_path}/out', *words.split()]) == 1
    assert message in capsys.readouterr().err
