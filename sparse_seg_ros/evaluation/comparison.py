# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether one model is better than another on the same frames, and where they differ most.

An interval is of the difference: both models have the same bootstrap replicates, so what is hard
for both does not widen it. It leaves out zero where the difference is more than chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparse_seg_ros.evaluation.bootstrap import interval
from sparse_seg_ros.evaluation.recorder import Recorder
from sparse_seg_ros.texts import cut

MOST_DIFFERENT = 10  # frames


@dataclass(frozen=True)
class Difference:
    """A figure of two models, and their difference with its 95 % interval."""

    figure: str
    first: float | None
    second: float | None
    interval: Sequence[float] | None

    @property
    def value(self) -> float | None:
        """Second minus first; None where one of them has no figure."""
        return None if self.first is None or self.second is None else self.second - self.first

    @property
    def is_clear(self) -> bool:
        """Tell whether the interval leaves out zero."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def compare(first: Recorder, second: Recorder) -> list[Difference]:
    """Two models on the same frames -> differences of mIoU, pixel accuracy and class IoU."""
    check_same(first, second)
    one, other = (each.scores.parts['bootstrap'] for each in (first, second))
    figures, others = first.scores.summary(), second.scores.summary()
    differences = [
        Difference('mIoU', figures['miou'], others['miou'], interval(other.miou() - one.miou())),
        Difference('pixel accuracy', figures['accuracy'], others['accuracy'],
                   interval(other.accuracy() - one.accuracy()))]
    return differences + [
        Difference(name, figures['class'][name]['iou'], others['class'][name]['iou'],
                   interval(values))
        for name, values in zip(first.scores.names, (other.iou() - one.iou()).T)]


def check_same(first: Recorder, second: Recorder) -> None:
    """Raise ValueError unless two models have seen the same frames, and have the same classes."""
    check_same_classes(first.scores.names, second.scores.names)
    if not same_frames(first, second):
        raise ValueError('models must see the same frames to be compared, and these did not')


def same_frames(first: Recorder, second: Recorder) -> bool:
    """Tell whether two models have seen the same frames: one may have refused some."""
    return first.data_hash() == second.data_hash()


def check_same_classes(first: Sequence[str], second: Sequence[str]) -> None:
    """Raise ValueError unless two models have the same classes."""
    if first != second:
        raise ValueError('models must have the same classes to be compared, got '
                         f'{cut(", ".join(first))} and {cut(", ".join(second))}')


def most_different(first: Recorder, second: Recorder) -> list[tuple[str, float, float]]:
    """Return the frames on which two models differ most, with the mIoU of each."""
    scores: list[Mapping[Any, float]] = [
        {(record['frame'], record['stamp']): record['miou'] for record in each.records
         if record.get('miou') is not None} for each in (first, second)]
    shared = [key for key in scores[0] if key in scores[1]]
    shared.sort(key=lambda key: -abs(scores[1][key] - scores[0][key]))
    return [(key[0], scores[0][key], scores[1][key]) for key in shared[:MOST_DIFFERENT]]
