# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores from one confusion matrix."""

from __future__ import annotations

import numpy as np

from sparse_seg_ros.labels import VOID


class ConfusionMatrix:
    """Counts pixels: rows are the truth, columns the prediction; void truth is left out."""

    def __init__(self, num_classes: int):
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count two (..., ) uint8 arrays of equal shape."""
        if predicted.shape != truth.shape:
            raise ValueError(f'prediction {predicted.shape} and truth {truth.shape} must have '
                             'the same shape; resize the prediction by nearest neighbour')
        classes = len(self.counts)
        valid = (truth != VOID)
        if valid.any() and max(truth[valid].max(), predicted[valid].max()) >= classes:
            raise ValueError(f'labels must be below {classes} or {VOID} for void, got '
                             f'{max(truth[valid].max(), predicted[valid].max())}; '
                             'does the label set match?')
        pairs = truth[valid].astype(np.int64) * classes + predicted[valid]
        self.counts += np.bincount(pairs, minlength=classes ** 2).reshape(classes, classes)

    def iou(self) -> np.ndarray:
        """Intersection over union per class, (C,) in [0, 1]; nan for classes never seen."""
        hit = np.diag(self.counts).astype(float)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)

    def mean_iou(self) -> float:
        """Mean of iou() over the classes seen."""
        scores = self.iou()
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float('nan')

    def accuracy(self) -> float:
        """Fraction of labelled pixels that are right."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))
