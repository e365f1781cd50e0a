# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo model keeps its accuracy on a street that it has never seen."""

from __future__ import annotations

import pytest

from sparse_seg_ros.bags.street_bag import LABEL_TOPIC, write_street_bag
from sparse_seg_ros.commands import main
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.files import share

HELD_OUT, SIZE_HW, FRAMES = 1001, (384, 768), 6


@pytest.fixture(name='bag', scope='module')
def street_bag(tmp_path_factory):
    return write_street_bag(tmp_path_factory.mktemp('street') / 'bag', Street(HELD_OUT, SIZE_HW),
                            FRAMES)


def evaluate(bag, thresholds) -> int:
    return main(['evaluate', '--bag', str(bag), '--labels', LABEL_TOPIC, '--device', 'cpu',
                 '--precision', 'fp32', '--thresholds', str(thresholds)])


def test_the_demo_model_keeps_its_thresholds(bag, capsys):
    code = evaluate(bag, share() / 'config' / 'thresholds' / 'street.yaml')
    assert code == 0, capsys.readouterr().err


def test_thresholds_that_are_too_high_are_named_and_end_with_1(bag, tmp_path, capsys):
    (tmp_path / 'high.yaml').write_text("class.pole.iou: '>= 0.95'\nmiou: '>= 0.68'\n")
    assert evaluate(bag, tmp_path / 'high.yaml') == 1
    told = capsys.readouterr().err
    assert 'demo: class.pole.iou must be >= 0.95, got 0.' in told and 'miou must' not in told
