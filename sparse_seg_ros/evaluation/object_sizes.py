# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Intersection over union of small, medium and large objects.

An object is a connected component of one class in the truth; corners connect. It is small below
5e-4 of the image, medium below ten times this. A prediction counts against the objects of a size
as far as it is connected to one of them; objects of other sizes are not at stake.
"""

from __future__ import annotations

import numpy as np

from sparse_seg_ros.evaluation.components import Runs, components
from sparse_seg_ros.evaluation.counting import Sums, mean, ratio, without_void
from sparse_seg_ros.labels import VOID

SIZES = ('small', 'medium', 'large')
LIMITS = (5e-4, 5e-3)  # of the image: 1049 and 10,486 px of 1024x2048


class ObjectSizes(Sums):
    """Intersections and unions of objects per size and class, (3, C) each."""

    def __init__(self, num_classes: int):
        self.hits, self.unions = np.zeros((2, len(SIZES), num_classes), np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count two (H, W) uint8 arrays of ids; void truth is left out."""
        predicted = without_void(predicted, truth)
        true_runs = Runs(truth)
        sizes = sizes_of(true_runs, truth.size)
        # A run of both: a part of a run of the truth, with one predicted class.
        runs = Runs(truth.astype(np.uint16) << 8 | predicted)
        truths, claims = runs.values >> 8, runs.values & 0xff
        parts = sizes[np.searchsorted(true_runs.starts, runs.starts, side='right') - 1]
        is_claim, is_right = claims != VOID, claims == truths
        one, other = runs.touching(lambda a, b: (claims[a] == claims[b]) & is_claim[a])
        for row in range(len(SIZES)):
            is_seed = is_right & is_claim & (parts == row)
            is_open = is_claim & (is_seed | ~is_right)
            kept = is_open[one] & is_open[other]
            root = components(len(claims), one[kept], other[kept])
            is_reached = np.zeros(len(claims), bool)
            is_reached[root[is_seed]] = True
            claimed = is_open & is_reached[root]
            is_true = (truths != VOID) & (parts == row)
            self.hits[row] += self.pixels(truths, runs.lengths, is_seed)
            self.unions[row] += self.pixels(truths, runs.lengths, is_true) \
                + self.pixels(claims, runs.lengths, claimed & ~is_seed)

    def pixels(self, ids: np.ndarray, lengths: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """(N,) ids, lengths and choice of runs -> (C,) pixels."""
        return np.bincount(ids[chosen], lengths[chosen], self.hits.shape[1]).astype(np.int64)

    def iou(self, size: str) -> np.ndarray:
        """(C,) in [0, 1]; nan for classes without objects of this size."""
        row = SIZES.index(size)
        return ratio(self.hits[row], self.unions[row])

    def mean_iou(self, size: str) -> float:
        """Mean of iou() over the classes that have objects of this size; nan without any."""
        return mean(self.iou(size))


def sizes_of(runs: Runs, pixels: int) -> np.ndarray:
    """Runs of the truth, pixels of the image -> (N,) row in SIZES of each run's object."""
    one, other = runs.touching(lambda a, b: runs.values[a] == runs.values[b])
    root = components(len(runs.values), one, other)
    areas = np.bincount(root, runs.lengths, len(root))[root]
    return np.searchsorted(np.multiply(LIMITS, pixels), areas, side='right')
