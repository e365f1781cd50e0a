# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether refining pays: one sentence on time and accuracy against full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sparse_seg_ros.evaluation.metrics import ConfusionMatrix

SURE = 2.0  # standard errors that a difference in accuracy must exceed
LEAST_POINTS, LEAST_RATIO = 0.05, 1.05  # less is no difference


@dataclass(frozen=True)
class Verdict:
    """
    Refined against full resolution, on the same frames of one run.

    speedup: median time at full resolution / median time refined; points: mIoU refined less mIoU
    at full resolution, in hundredths; None where the frames have other classes. Each with whether
    it is beyond the noise between frames.
    """

    speedup: float
    is_speed_sure: bool
    points: float | None = None
    is_accuracy_sure: bool = False

    def __str__(self) -> str:
        gain = '' if self.points is None else f' at {self.accuracy()}'
        return f'refining is {self.speed()} full resolution{gain}: {self.conclusion()}'

    def speed(self) -> str:
        """Return how fast it is, in words."""
        if not self.is_speed_sure:
            return f'as fast, within noise ({self.speedup:.2f}x), as'
        if self.speedup > 1:
            return f'{self.speedup:.1f}x faster than'
        return f'{1 / self.speedup:.1f}x slower than'

    def accuracy(self) -> str:
        """Return how accurate it is, in words."""
        points = f'{abs(self.points):.1f} points {"more" if self.points > 0 else "less"}'
        return points if self.is_accuracy_sure else f'equal accuracy within noise ({points})'

    def conclusion(self) -> str:
        """Say whether refining pays."""
        is_faster, is_slower = (self.is_speed_sure and sign * (self.speedup - 1) > 0
                                for sign in (1, -1))
        is_better, is_worse = (self.is_accuracy_sure and sign * (self.points or 0) > 0
                               for sign in (1, -1))
        if (is_faster and is_worse) or (is_slower and is_better):
            return 'it trades accuracy for time' if is_faster else 'it trades time for accuracy'
        if is_faster or is_better:
            return 'it pays'
        if is_slower or is_worse:
            return 'it does not pay, full resolution is the better choice'
        return 'either may be taken'

    def record(self) -> dict:
        """Return the figures and the sentence, for a JSON file."""
        return {**asdict(self), 'text': str(self)}


def judge(refined: Sequence[tuple[float, ConfusionMatrix | None]],
          full: Sequence[tuple[float, ConfusionMatrix | None]]) -> Verdict:
    """(milliseconds, confusion matrix or None) of each frame, of both -> Verdict."""
    times, rival_times = (np.array([spent for spent, _ in frames]) for frames in (refined, full))
    speedup = float(np.median(rival_times) / np.median(times))
    is_speed_sure = are_beyond_noise(rival_times / times, speedup)
    if any(matrix is None for _, matrix in (*refined, *full)):
        return Verdict(speedup, is_speed_sure)
    points, error = difference(*(np.stack([matrix.counts for _, matrix in frames])
                                 for frames in (refined, full)))
    return Verdict(speedup, is_speed_sure, points, abs(points) > max(LEAST_POINTS, SURE * error))


def are_beyond_noise(ratios: np.ndarray, speedup: float) -> bool:
    """Ratio of every frame and their middle -> whether three quarters of the frames agree."""
    slowest, fastest = np.percentile(ratios, (25, 75))
    return bool(slowest > 1 and speedup > LEAST_RATIO or fastest < 1 and speedup < 1 / LEAST_RATIO)


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """
    (N, C, C) counts of N frames, twice -> mIoU of one less the other, and its standard error.

    Both in points. The error is that of the jackknife: each frame is left out once.
    """
    totals = one.sum(0), other.sum(0)
    points = [100 * (mean_iou(totals[0] - left) - mean_iou(totals[1] - right))
              for left, right in zip(one, other)]
    number = len(points)
    error = np.sqrt((number - 1) / number * np.square(points - np.mean(points)).sum())
    return 100 * (mean_iou(totals[0]) - mean_iou(totals[1])), \
        float(error) if number > 1 else float('inf')


def mean_iou(counts: np.ndarray) -> float:
    """(C, C) counts -> mIoU in [0, 1]."""
    matrix = ConfusionMatrix(len(counts))
    matrix.counts = counts
    return matrix.mean_iou()
