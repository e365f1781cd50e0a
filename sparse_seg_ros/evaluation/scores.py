# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All scores of segmented frames. The scores of parts add up to those of the whole, exactly."""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.bootstrap import Bootstrap, weights_of
from sparse_seg_ros.evaluation.boundaries import Boundaries
from sparse_seg_ros.evaluation.error_detection import (
    Calibration,
    ErrorDetection,
    ProperScores,
    Selection,
)
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.evaluation.object_sizes import ObjectSizes
from sparse_seg_ros.evaluation.score_bytes import fill, pack, unpack
from sparse_seg_ros.evaluation.summary import curves_of, summary_of
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.request import PROPER_SCORES
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.texts import cut

LOG = logging.getLogger(__name__)
SLOW = ('boundaries', 'sizes')  # parts that run beside the others
SHOWN = 3  # examples in a warning
METRIC_INPUTS = ('confidence', PROPER_SCORES)  # for a call to want, so that all figures are known


@dataclass(frozen=True)
class Report:
    """
    Scores over a set of frames.

    iou: per class seen, in [0, 1]; small_iou: the same of the objects that cover few pixels;
    accuracy: fraction of the pixels that are right; mean_accuracy: the mean of that over classes;
    frequency_weighted_iou: mean of iou by the pixels of the classes; density: mean fraction of
    refined pixels; milliseconds: median per stage.
    """

    frames: int
    mean_iou: float
    small_mean_iou: float
    iou: dict[str, float]
    small_iou: dict[str, float]
    accuracy: float
    density: float
    milliseconds: dict[str, float]
    mean_accuracy: float = math.nan
    frequency_weighted_iou: float = math.nan


class Scores:
    """
    Counts frames: a sink of the loop, `scores(frame, image, prediction)`.

    `one + other` has the scores of the frames of both, bit for bit, in any order of adding.
    frames: number of segmented frames; labelled: number of frames with labels.
    """

    def __init__(self, names: tuple[str, ...], counts_small: bool = True,
                 has_uncertainty: bool = True):
        """
        counts_small: False counts the confusion matrix alone, as fast as can be.

        has_uncertainty: False for predictions that do not know theirs.
        """
        self.has_uncertainty = has_uncertainty
        self.names, self.counts_small, self.labelled = names, counts_small, 0
        self.matrix = ConfusionMatrix(len(names))
        self.parts: dict[str, Any] = new_parts(len(names))
        self.densities: list[float] = []
        self.milliseconds: dict[str, list[float]] = {}

    @property
    def frames(self) -> int:
        """Number of frames that were segmented."""
        return len(self.densities)

    def __call__(self, frame: Frame, image: np.ndarray, prediction: Prediction) -> None:
        """Count a frame; ValueError where its labels do not fit the prediction."""
        self.densities.append(prediction.density)
        for stage, spent in prediction.milliseconds.items():
            self.milliseconds.setdefault(stage, []).append(spent)
        label = frame.label()
        if label is not None:
            counted = ConfusionMatrix(len(self.names))
            counted.add(prediction.labels, label)
            self.matrix, self.labelled = self.matrix + counted, self.labelled + 1
            if self.counts_small:
                self.add_details(prediction, label)
                self.parts['bootstrap'].add(weights_of(frame.source, frame.stamp),
                                            counted.counts, counted.missed)

    def add_details(self, prediction: Prediction, truth: np.ndarray) -> None:
        """Count what needs more than the confusion matrix."""
        with ThreadPoolExecutor(len(SLOW)) as threads:
            slow = [threads.submit(self.parts[name].add, prediction.labels, truth)
                    for name in SLOW]
            self.add_pixels(prediction, truth)
        for each in slow:
            each.result()

    def add_pixels(self, prediction: Prediction, truth: np.ndarray) -> None:
        """Count what is known of every pixel by itself."""
        is_labelled, is_wrong = truth != VOID, truth != prediction.labels
        is_wrong &= is_labelled
        if self.has_uncertainty:
            self.parts['detection'].add(prediction.uncertainty, is_labelled, is_wrong)
        if prediction.confidence is not None:
            self.parts['calibration'].add(prediction.confidence, is_labelled, is_wrong)
        if prediction.brier is not None and prediction.nll is not None:
            self.parts['proper'].add(prediction.brier, prediction.nll)
        if prediction.refined is not None:
            self.parts['selection'].add(prediction.refined, is_labelled, is_wrong)

    def __add__(self, other: Scores) -> Scores:
        """Return the scores of the frames of both."""
        if self.names != other.names:
            raise ValueError('scores must be of the same classes to be added, got '
                             f'{cut(", ".join(self.names))} and {cut(", ".join(other.names))}')
        both = Scores(self.names, self.counts_small and other.counts_small,
                      self.has_uncertainty and other.has_uncertainty)
        both.absorb(self)
        both.absorb(other)
        both.densities.sort()
        both.milliseconds = {stage: sorted(times)
                             for stage, times in sorted(both.milliseconds.items())}
        return both

    def absorb(self, other: Scores) -> None:
        """Add scores of the same classes to these, without a copy of what was counted before."""
        self.labelled += other.labelled
        self.matrix = self.matrix + other.matrix
        self.parts = {name: part + other.parts[name] for name, part in self.parts.items()}
        self.densities += other.densities
        for stage, times in other.milliseconds.items():
            self.milliseconds.setdefault(stage, []).extend(times)

    def to_bytes(self) -> bytes:
        """Return everything that was counted; equal scores have equal bytes."""
        return pack(self)

    @staticmethod
    def from_bytes(data: bytes) -> Scores:
        """Return the scores of `to_bytes`; ValueError for other data."""
        head, arrays = unpack(data)
        scores = Scores(tuple(head['names']), head['counts_small'])
        return fill(scores, head, arrays)

    @property
    def density(self) -> float:
        """Mean fraction of refined pixels; 0 without frames, nan for what no model predicted."""
        if not self.has_uncertainty:
            return math.nan
        return math.fsum(self.densities) / max(self.frames, 1)

    def percentiles(self, *ranks: int) -> dict[str, dict[str, float]]:
        """Return stage -> {'p50': milliseconds, ...} for the given ranks."""
        return {stage: {f'p{rank}': round(float(np.percentile(times, rank)), 3) for rank in ranks}
                for stage, times in self.milliseconds.items()}

    def report(self) -> Report:
        """Return the report; ValueError without a frame."""
        if not self.frames:
            raise ValueError('no frames to evaluate')
        iou, small_iou = ({name: round(float(score), 4) for name, score in
                           zip(self.names, scores) if np.isfinite(score)}
                          for scores in (self.matrix.iou(), self.parts['sizes'].iou('small')))
        stages = {stage: ranks['p50'] for stage, ranks in self.percentiles(50).items()}
        return Report(self.frames, self.matrix.mean_iou(), self.parts['sizes'].mean_iou('small'),
                      iou, small_iou, self.matrix.accuracy(), self.density, stages,
                      self.matrix.mean_accuracy(), self.matrix.frequency_weighted_iou())

    def summary(self) -> dict[str, Any]:
        """Return all figures by name, as plain JSON; None for what the frames cannot tell."""
        return summary_of(self)

    def curves(self) -> dict[str, Any]:
        """Return the confusion matrix, and reliability, density-recall and risk-coverage."""
        return curves_of(self)

    def warn_of_other_order(self) -> None:
        """Warn if the frames seem to number the classes in another way than the model."""
        warn_of_other_order(self.matrix, self.names)


def new_parts(num_classes: int) -> dict[str, Any]:
    """Return the counts beside the confusion matrix, by name."""
    return {'boundaries': Boundaries(num_classes), 'sizes': ObjectSizes(num_classes),
            'detection': ErrorDetection(),
            'calibration': Calibration(), 'proper': ProperScores(), 'selection': Selection(),
            'bootstrap': Bootstrap(num_classes)}


def warn_of_other_order(matrix: ConfusionMatrix, names: tuple[str, ...]) -> None:
    """Warn if what is predicted is, as a rule, another class than the true one."""
    other = matrix.other_order()
    if other:
        examples = ', '.join(f'{names[truth]} as {names[predicted]}'
                             for truth, predicted in list(other.items())[:SHOWN])
        LOG.warning('the frames seem to have other classes than the model, or another order of '
                    'ids: it sees %s; compare their label set with that of the model: %s',
                    examples, cut(', '.join(names)))
