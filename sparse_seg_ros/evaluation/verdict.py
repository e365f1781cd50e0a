# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether refining pays: one sentence on time and accuracy against full resolution.

A difference beyond the noise between frames is called more or less. A difference that is certainly
small is called equal. Otherwise there are too few frames, and the sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.loading.auto_method import LEAST_POINTS, LEAST_RATIO

# 95 % of Student's t, in standard errors, by the number of frames from 1 on; then about 2.
STUDENT = (math.inf, 12.7, 4.3, 3.2, 2.8, 2.6, 2.5, 2.4, 2.3, 2.3)
EQUAL_POINTS, EQUAL_RATIO = 0.3, 1.1  # what is certainly less than this is equal
PAYS, LOSES = 'it pays', 'it does not pay, full resolution is the better choice'
CONCLUSIONS = {  # (time saved, accuracy gained)
    ('more', 'more'): PAYS, ('more', 'equal'): PAYS, ('equal', 'more'): PAYS,
    ('less', 'less'): LOSES, ('less', 'equal'): LOSES, ('equal', 'less'): LOSES,
    ('more', 'less'): 'it trades accuracy for time',
    ('less', 'more'): 'it trades time for accuracy',
    ('equal', 'equal'): 'either may be taken', ('unclear', 'unclear'): 'use more frames'}
ON_TIME = {'more': 'it saves time', 'less': 'it costs time',
           'unclear': 'use more frames to compare time'}
ON_ACCURACY = {'more': 'it is more accurate', 'less': 'it is less accurate',
               'unclear': 'use more frames to compare accuracy',
               'unknown': 'accuracy was not measured'}


@dataclass(frozen=True)
class Verdict:
    """
    Refined against full resolution, on the same frames of one run.

    speedup: time at full resolution / time refined, the geometric mean over the frames; it lies
    between speedup / speedup_margin and speedup * speedup_margin (95 %). points: mIoU refined less
    mIoU at full resolution, in hundredths, give or take points_margin; None or NaN where it was
    not measured.
    """

    speedup: float
    speedup_margin: float
    points: float | None = None
    points_margin: float = math.inf

    @property
    def time_saved(self) -> str:
        """'more', 'less', 'equal' or 'unclear'."""
        return compare(math.log(self.speedup), math.log(self.speedup_margin),
                       math.log(LEAST_RATIO), math.log(EQUAL_RATIO))

    @property
    def accuracy_gained(self) -> str:
        """'more', 'less', 'equal', 'unclear', or 'unknown' where it was not measured."""
        if self.points is None or math.isnan(self.points):
            return 'unknown'
        return compare(self.points, self.points_margin, LEAST_POINTS, EQUAL_POINTS)

    def __str__(self) -> str:
        return f'refining {self.speed()}{self.accuracy()}: {self.conclusion()}'

    def speed(self) -> str:
        """Return how fast it is, in words."""
        low, high = self.speedup / self.speedup_margin, self.speedup * self.speedup_margin
        spread = 'on one frame' if math.isinf(high) else f'from {low:.2f}x to {high:.2f}x'
        return {'more': f'is {self.speedup:.1f}x faster than full resolution',
                'less': f'is {1 / self.speedup:.1f}x slower than full resolution',
                'equal': f'takes about as long as full resolution ({self.speedup:.2f}x, within '
                         'noise)',
                'unclear': 'may be faster or slower than full resolution '
                           f'({self.speedup:.2f}x, {spread})'}[self.time_saved]

    def accuracy(self) -> str:
        """Return how accurate it is, in words; '' where that was not measured."""
        if self.points is None or self.accuracy_gained == 'unknown':
            return ''
        points = f'{abs(self.points):.1f} points {"more" if self.points > 0 else "less"}'
        margin = 'on one frame' if math.isinf(self.points_margin) else \
            f'give or take {self.points_margin:.1f}'
        return {'equal': f' at equal accuracy within noise ({points})',
                'unclear': f', accuracy not told apart ({points}, {margin})'}.get(
                    self.accuracy_gained, f' at {points}')

    def conclusion(self) -> str:
        """Say whether refining pays, or what is not known yet."""
        time, accuracy = self.time_saved, self.accuracy_gained
        known = filter(None, (ON_TIME.get(time), ON_ACCURACY.get(accuracy)))
        return CONCLUSIONS.get((time, accuracy)) or '; '.join(known)

    def record(self) -> dict:
        """Return the figures and the sentence, for a JSON file."""
        return {**asdict(self), 'text': str(self)}


def compare(value: float, margin: float, least: float, most_equal: float) -> str:
    """Return what a difference is: 'more', 'less', 'equal', or 'unclear' from these frames."""
    if abs(value) > max(least, margin):
        return 'more' if value > 0 else 'less'
    return 'equal' if abs(value) + margin < most_equal else 'unclear'


def judge(refined: Sequence[tuple[float, ConfusionMatrix | None]],
          full: Sequence[tuple[float, ConfusionMatrix | None]]) -> Verdict:
    """(milliseconds, confusion matrix or None) of each frame, of both -> Verdict."""
    times, full_times = (np.array([spent for spent, _ in frames]) for frames in (refined, full))
    speedup = compare_times(times, full_times)
    counts, full_counts = ([matrix.counts for _, matrix in frames if matrix is not None]
                           for frames in (refined, full))
    if len(counts) < len(refined) or len(full_counts) < len(full):
        return Verdict(*speedup)
    points, error = difference(np.stack(counts), np.stack(full_counts))
    return Verdict(*speedup, points, error * errors_of_margin(len(times)))


def compare_times(times: np.ndarray, rival_times: np.ndarray) -> tuple[float, float]:
    """(N,) milliseconds of the same frames, twice -> speedup, and its margin as a factor."""
    logs = np.log(rival_times / times)
    error = logs.std(ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else 1.0
    with np.errstate(over='ignore'):
        return float(np.exp(logs.mean())), float(np.exp(error * errors_of_margin(len(logs))))


def errors_of_margin(count: int) -> float:
    """Return how many standard errors the mean of this number of frames may be off."""
    return STUDENT[count - 1] if count <= len(STUDENT) else 2.0


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """
    (N, C, C) counts of N frames, twice -> mIoU of one less the other, and its standard error.

    Both in points. The error is that of the jackknife: each frame is left out once. It is
    infinite where that leaves nothing to measure.
    """
    totals = one.sum(0), other.sum(0)
    points = np.array([100 * (mean_iou(totals[0] - left) - mean_iou(totals[1] - right))
                       for left, right in zip(one, other)])
    number = len(points)
    error = float(np.sqrt((number - 1) / number * np.square(points - points.mean()).sum()))
    return 100 * (mean_iou(totals[0]) - mean_iou(totals[1])), \
        error if number > 1 and math.isfinite(error) else math.inf


def mean_iou(counts: np.ndarray) -> float:
    """(C, C) counts -> mIoU in [0, 1]."""
    matrix = ConfusionMatrix(len(counts))
    matrix.counts = counts
    return matrix.mean_iou()
