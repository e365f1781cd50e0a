# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two models are compared on the same frames, with intervals of their difference."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.comparison import compare, most_different
from sparse_seg_ros.evaluation.recorder import Recorder
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.prediction import Prediction

LABELS = LabelSet('two', ('grass', 'path'), ((0, 160, 0), (120, 100, 80)))
FRAMES, SIZE = 30, (20, 30)


def recorder_of(change, frames: int = FRAMES) -> Recorder:
    """Return what a model gets that predicts change(number, truth)."""
    recorder = Recorder(LABELS)
    for number in range(frames):
        random = np.random.default_rng(number)
        truth = random.integers(0, 2, SIZE).astype(np.uint8)
        image = random.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
        noisy = np.where(random.random(SIZE) < 0.1 + 0.01 * number, 1 - truth, truth)
        seen = Prediction(change(number, noisy.astype(np.uint8)), np.zeros(SIZE, np.float32))
        frame = Frame(f'frame {number}', lambda image=image: image, lambda truth=truth: truth)
        recorder(frame, image, seen)
    return recorder


def blank(number: int, labels: np.ndarray) -> np.ndarray:
    """Return labels with a wrong stripe in every frame, and frame 7 all wrong."""
    labels = labels.copy()
    labels[:2] = 1 - labels[:2]
    return 1 - labels if number == 7 else labels


def test_a_worse_model_is_clearly_worse_and_the_frame_that_it_spoils_comes_first():
    good, bad = recorder_of(lambda number, labels: labels), recorder_of(blank)
    by_name = {each.figure: each for each in compare(good, bad)}
    assert set(by_name) == {'mIoU', 'pixel accuracy', *LABELS.names}
    for each in by_name.values():
        assert each.value < 0 and each.is_clear and each.interval[0] < each.value \
            < each.interval[1] < 0
    frame, first, second = most_different(good, bad)[0]
    assert frame == 'frame 7' and first > second


def test_a_model_does_not_differ_from_itself():
    for each in compare(*[recorder_of(lambda number, labels: labels)] * 2):
        assert each.value == 0 and list(each.interval) == [0, 0] and not each.is_clear


def test_other_frames_and_other_classes_are_not_compared():
    one = recorder_of(lambda number, labels: labels, 2)
    with pytest.raises(ValueError, match='must see the same frames'):
        compare(one, recorder_of(lambda number, labels: labels, 3))
    with pytest.raises(ValueError, match='must have the same classes'):
        compare(one, Recorder(LabelSet('other', ('a', 'b'), LABELS.colors)))


def test_the_worst_and_best_frames_keep_their_pictures():
    recorder = Recorder(LABELS, keeps_strips=True)
    for number in range(12):
        truth = np.zeros(SIZE, np.uint8)
        labels = truth.copy()
        labels.ravel()[:number * 10] = 1
        recorder(Frame(f'{number}', lambda: None, lambda truth=truth: truth),
                 np.zeros((*SIZE, 3), np.uint8), Prediction(labels, np.zeros(SIZE, np.float32)))
    assert [each.title for each in recorder.strips['worst']] == ['11', '10', '9', '8', '7', '6']
    assert [each.title for each in recorder.strips['best']] == ['0', '1']
    worst = recorder.strips['worst'][0]
    assert worst.errors.max() > 200 and worst.refined is None
