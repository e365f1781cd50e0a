# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether refining pays, in one sentence."""

from __future__ import annotations

import math

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
    (Verdict(1.61, 1.02, -0.1, 0.02), 'refining is 1.6x faster than full resolution at 0.1 points '
     'less: it trades accuracy for time'),
    (Verdict(1.61, 1.02, 0.4, 0.1), 'than full resolution at 0.4 points more: it pays'),
    (Verdict(0.5, 1.02, -5.6, 0.1), '2.0x slower than full resolution at 5.6 points less: it '
     'does not pay, full resolution is the better choice'),
    (Verdict(0.5, 1.02, 1.0, 0.1), 'at 1.0 points more: it trades time for accuracy'),
    (Verdict(1.61, 1.02, -0.1, 0.15), '1.6x faster than full resolution at equal accuracy within '
     'noise (0.1 points less): it pays'),
    (Verdict(1.02, 1.03, 0.1, 0.15), 'refining takes about as long as full resolution (1.02x, '
     'within noise) at equal accuracy within noise (0.1 points more): either may be taken'),
    (Verdict(1.02, 1.03, 0.5, 0.15), 'points more: it pays'),
])
def test_it_says_plainly_whether_refining_pays(verdict, words):
    assert words in str(verdict)


@pytest.mark.parametrize(('verdict', 'words'), [
    (Verdict(1.6, 1.02), 'refining is 1.6x faster than full resolution: it saves time; accuracy '
     'was not measured'),
    (Verdict(1.6, 1.02, math.nan, math.nan), 'full resolution: it saves time; accuracy was not'),
    (Verdict(1.02, 1.03), 'full resolution (1.02x, within noise): accuracy was not measured'),
    (Verdict(1.6, 1.02, -0.4, 1.2), 'full resolution, accuracy not told apart (0.4 points less, '
     'give or take 1.2): it saves time; use more frames to compare accuracy'),
    (Verdict(0.5, 1.02, -0.4, 1.2), 'it costs time; use more frames to compare accuracy'),
    (Verdict(1.3, 1.5, 0.5, 0.1), 'refining may be faster or slower than full resolution (1.30x, '
     'from 0.87x to 1.95x) at 0.5 points more: use more frames to compare time; it is more acc'),
    (Verdict(3.0, math.inf, -48.8, math.inf), 'refining may be faster or slower than full '
     'resolution (3.00x, on one frame), accuracy not told apart (48.8 points less, on one frame): '
     'use more frames'),
])
def test_what_is_not_known_is_neither_equal_nor_a_reason(verdict, words):
    assert words in str(verdict)


def test_what_all_frames_agree_on_is_sure():
    verdict = judge(frames([10.0, 20.0, 30.0], [450, 460, 440]),
                    frames([16.0, 32.0, 48.0], [400, 410, 390]))
    assert verdict.speedup == pytest.approx(1.6)
    assert (verdict.time_saved, verdict.accuracy_gained) == ('more', 'more')


def test_what_frames_disagree_on_is_unclear():
    verdict = judge(frames([10.0, 20.0, 30.0, 40.0], [450, 400, 450, 400]),
                    frames([20.0, 10.0, 60.0, 20.0], [400, 450, 400, 449]))
    assert (verdict.time_saved, verdict.accuracy_gained) == ('unclear', 'unclear')


def test_one_frame_decides_nothing():
    verdict = judge(frames([1.0], [500]), frames([2.0], [100]))
    assert (verdict.time_saved, verdict.accuracy_gained) == ('unclear', 'unclear')


@pytest.mark.parametrize('count', [1, 2, 3, 10, 200])
def test_equal_models_that_jitter_are_seldom_called_different(count):
    generator = np.random.default_rng(0)
    times = np.exp(0.1 * generator.standard_normal((400, 2, count)))
    sure = [judge(frames(refined), frames(full)).time_saved in ('more', 'less')
            for refined, full in times]
    assert np.mean(sure) < 0.08


def test_many_frames_find_a_difference_that_is_smaller_than_their_jitter():
    generator = np.random.default_rng(0)
    times = np.exp(0.3 * generator.standard_normal((2, 200)))
    assert judge(frames(times[0]), frames(1.2 * times[1])).time_saved == 'more'


def test_equal_predictions_are_equal():
    verdict = judge(frames([1.0, 1.0], [400, 300]), frames([1.0, 1.0], [400, 300]))
    assert (verdict.points, verdict.accuracy_gained, verdict.time_saved) == (0, 'equal', 'equal')


def test_the_error_of_a_difference_shrinks_with_the_number_of_frames():
    one = np.stack([matrix(each).counts for each in (450, 400, 430, 420)])
    other = np.stack([matrix(each).counts for each in (440, 405, 410, 415)])
    few, many = difference(one, other), difference(one.repeat(4, 0), other.repeat(4, 0))
    assert few[0] == pytest.approx(many[0])
    assert many[1] == pytest.approx(few[1] * (3 / 15) ** 0.5, rel=0.02)


def test_frames_of_which_one_has_no_truth_leave_the_error_open():
    truth = matrix(400).counts
    assert difference(np.stack([truth, 0 * truth]), np.stack([truth, 0 * truth]))[1] == math.inf


def test_frames_without_truth_are_judged_by_time_alone():
    verdict = judge(frames([1.0, 1.0]), frames([3.0, 3.0]))
    assert verdict.points is None and '3.0x faster than full resolution: it sav' in str(verdict)
