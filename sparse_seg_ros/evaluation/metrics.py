# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores from one confusion matrix."""

from __future__ import annotations

import numpy as np

from sparse_seg_ros.evaluation.counting import count_pairs, mean
from sparse_seg_ros.labels import VOID

MOST, COMMON = 0.5, 0.05  # shares of the pixels that tell another numbering


class ConfusionMatrix:
    """
    Counts pixels: rows are the truth, columns the prediction; void truth is left out.

    missed: (C,) pixels of each class for which void is predicted; they are wrong.
    """

    def __init__(self, num_classes: int):
        self.counts = np.zeros((num_classes, num_classes), np.int64)
        self.missed = np.zeros(num_classes, np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count two (..., ) uint8 arrays of equal shape."""
        if predicted.shape != truth.shape:
            raise ValueError(f'prediction {predicted.shape} and truth {truth.shape} must have '
                             'the same shape; resize the prediction by nearest neighbour')
        classes = len(self.counts)
        pairs = count_pairs(*(as_image(labels) for labels in (truth, predicted)))
        beyond = np.flatnonzero((pairs.sum(0) + pairs.sum(1))[classes:VOID])
        if beyond.size:
            raise ValueError(f'labels must be below {classes} or {VOID} for void, got '
                             f'{classes + beyond[-1]}; does the label set match?')
        self.missed += pairs[:classes, VOID]
        self.counts += pairs[:classes, :classes]

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Return the counts of both."""
        both = ConfusionMatrix(len(self.counts))
        both.counts, both.missed = self.counts + other.counts, self.missed + other.missed
        return both

    def other_order(self) -> dict[int, int]:
        """
        Return which class of the truth is predicted as which other one, where that is the rule.

        Empty unless another pairing of the classes, one to one, explains most pixels and more than
        twice as many as the right one, by two common classes or more: the truth is then numbered
        in another way. A network that has learnt little says one class everywhere.
        """
        rest, pairs = self.counts.copy(), {}
        while rest.any():
            row, column = np.unravel_index(rest.argmax(), rest.shape)
            pairs[int(row)] = int(column)
            rest[row], rest[:, column] = 0, 0
        explained, total = sum(self.counts[pair] for pair in pairs.items()), self.counts.sum()
        other = {row: column for row, column in pairs.items()
                 if row != column and self.counts[row, column] > COMMON * total}
        is_other = explained > max(2 * np.trace(self.counts), MOST * total) and len(other) > 1
        return other if is_other else {}

    def iou(self) -> np.ndarray:
        """Intersection over union per class, (C,) in [0, 1]; nan for classes never seen."""
        hit = np.diag(self.counts).astype(float)
        union = self.counts.sum(0) + self.pixels() - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)

    def mean_iou(self) -> float:
        """Mean of iou() over the classes seen."""
        return mean(self.iou())

    def class_accuracy(self) -> np.ndarray:
        """Fraction of each class's pixels that are right, (C,) in [0, 1]; nan without pixels."""
        pixels = self.pixels()
        return np.divide(np.diag(self.counts), pixels, out=np.full(len(pixels), np.nan),
                         where=pixels > 0)

    def mean_accuracy(self) -> float:
        """Mean of class_accuracy() over the classes of the truth."""
        return mean(self.class_accuracy())

    def frequency_weighted_iou(self) -> float:
        """Mean of iou(), each class weighted by its pixels in the truth; nan without pixels."""
        pixels = self.pixels()
        return float(np.nansum(pixels * self.iou()) / pixels.sum()) if pixels.any() \
            else float('nan')

    def accuracy(self) -> float:
        """Fraction of labelled pixels that are right."""
        return float(np.trace(self.counts) / max(self.pixels().sum(), 1))

    def pixels(self) -> np.ndarray:
        """Labelled pixels of each class, (C,), those predicted as void among them."""
        return self.counts.sum(1) + self.missed


def as_image(labels: np.ndarray) -> np.ndarray:
    """(..., ) integers -> (H, W) uint8, contiguous; as (1, N) unless it was an image."""
    labels = np.ascontiguousarray(labels, np.uint8)
    return labels if labels.ndim == 2 else labels.reshape(1, -1)
