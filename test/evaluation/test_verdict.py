# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether refining pays, in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.evaluation.verdict import Verdict, difference, judge


def frames(milliseconds, right=None):
    """Return frames of two classes and 1000 pixels, so many of each right."""
    matrices = [None] * len(milliseconds) if right is None else [matrix(each) for each in right]
    return list(zip(milliseconds, matrices))


def matrix(right):
    made = ConfusionMatrix(2)
    made.counts = np.array([[right, 500 - right], [500 - right, right]])
    return made


@pytest.mark.parametrize(('verdict', 'words'), [
    (Verdict(1.61, True, -0.1, True), 'refining is 1.6x faster than full resolution at 0.1 points '
     'less: it trades accuracy for time'),
    (Verdict(1.61, True, 0.4, True), 'than full resolution at 0.4 points more: it pays'),
    (Verdict(0.5, True, -5.6, True), '2.0x slower than full resolution at 5.6 points less: it '
     'does not pay, full resolution is the better choice'),
    (Verdict(0.5, True, 1.0, True), 'at 1.0 points more: it trades time for accuracy'),
    (Verdict(1.61, True, -0.1, False), '1.6x faster than full resolution at equal accuracy within '
     'noise (0.1 points less): it pays'),
    (Verdict(1.02, False, 0.1, False), 'as fast, within noise (1.02x), as full resolution at '
     'equal accuracy within noise (0.1 points more): either may be taken'),
    (Verdict(1.5, True), '1.5x faster than full resolution: it pays'),
])
def test_it_says_plainly_whether_refining_pays(verdict, words):
    assert words in str(verdict)


def test_what_all_frames_agree_on_is_sure():
    verdict = judge(frames([10.0, 20.0, 30.0], [450, 460, 440]),
                    frames([16.0, 32.0, 48.0], [400, 410, 390]))
    assert (verdict.speedup, verdict.is_speed_sure) == (1.6, True)
    assert verdict.points > 5 and verdict.is_accuracy_sure


def test_what_frames_disagree_on_is_noise():
    verdict = judge(frames([10.0, 20.0, 30.0, 40.0], [450, 400, 450, 400]),
                    frames([20.0, 10.0, 60.0, 20.0], [400, 450, 400, 449]))
    assert not verdict.is_speed_sure and not verdict.is_accuracy_sure


def test_one_frame_is_never_sure_of_accuracy():
    assert not judge(frames([1.0], [500]), frames([1.0], [100])).is_accuracy_sure


def test_equal_predictions_are_equal():
    verdict = judge(frames([1.0, 1.0], [400, 300]), frames([1.0, 1.0], [400, 300]))
    assert (verdict.points, verdict.is_accuracy_sure, verdict.is_speed_sure) == (0, False, False)


def test_the_error_of_a_difference_shrinks_with_the_number_of_frames():
    one = np.stack([matrix(each).counts for each in (450, 400, 430, 420)])
    other = np.stack([matrix(each).counts for each in (440, 405, 410, 415)])
    few, many = difference(one, other), difference(one.repeat(4, 0), other.repeat(4, 0))
    assert few[0] == pytest.approx(many[0])
    assert many[1] == pytest.approx(few[1] * (3 / 15) ** 0.5, rel=0.02)


def test_frames_without_truth_are_judged_by_time_alone():
    verdict = judge(frames([1.0, 1.0]), frames([3.0, 3.0]))
    assert verdict.points is None and '3.0x faster than full resolution: ' in str(verdict)
