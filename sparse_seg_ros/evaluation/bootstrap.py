# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Intervals of scores by the Poisson bootstrap over frames, in constant memory.

A frame counts in each of 200 replicates as often as a Poisson variable of mean 1 says. This is
drawn from a hash of the frame's source and stamp: it is the same in every process, and for every
model that sees the frame, so that differences of two models are paired.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from sparse_seg_ros.evaluation.counting import Sums

REPLICATES = 200
PERCENT = (2.5, 97.5)
MOST_TIMES = 12  # beyond it the chance is below 1e-9
POISSON = np.cumsum([math.exp(-1) / math.factorial(times) for times in range(MOST_TIMES)])


def weights_of(source: str, stamp: int) -> np.ndarray:
    """Return how often a frame counts in each replicate, (200,) int64."""
    digest = hashlib.shake_256(f'{source} {stamp}'.encode()).digest(4 * REPLICATES)
    drawn = np.frombuffer(digest, '<u4') / 2 ** 32
    return np.searchsorted(POISSON, drawn, side='right')


class Bootstrap(Sums):
    """Right, true and predicted pixels per class of every replicate, (200, C) each."""

    def __init__(self, num_classes: int):
        self.right, self.true, self.found = np.zeros((3, REPLICATES, num_classes), np.int64)

    def add(self, weights: np.ndarray, counts: np.ndarray, missed: np.ndarray) -> None:
        """(200,), and a frame's (C, C) counts and (C,) pixels that are predicted as void."""
        for total, frame in ((self.right, np.diag(counts)), (self.found, counts.sum(0)),
                             (self.true, counts.sum(1) + missed)):
            total += weights[:, None] * frame

    def iou(self) -> np.ndarray:
        """(200, C) in [0, 1]; nan for classes that a replicate does not have."""
        union = self.true + self.found - self.right
        return np.divide(self.right, union, out=np.full(union.shape, np.nan), where=union > 0)

    def miou(self) -> np.ndarray:
        """(200,) in [0, 1]; nan for replicates without labelled pixels."""
        iou = self.iou()
        is_there = np.isfinite(iou)
        counts = is_there.sum(1)
        return np.divide(np.where(is_there, iou, 0).sum(1), counts,
                         out=np.full(len(iou), np.nan), where=counts > 0)

    def accuracy(self) -> np.ndarray:
        """(200,) in [0, 1]; nan for replicates without labelled pixels."""
        pixels = self.true.sum(1)
        return np.divide(self.right.sum(1), pixels, out=np.full(len(pixels), np.nan),
                         where=pixels > 0)


def interval(values: np.ndarray) -> list[float] | None:
    """(200,) scores of replicates -> the 95 % interval; None where no replicate has a score."""
    known = values[np.isfinite(values)]
    return np.percentile(known, PERCENT).tolist() if len(known) else None
