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
        runs = Runs(truth.astype(np.uint16) << 8 | predicted)  # of one class in both
        truths, claims = runs.values >> 8, runs.values & 0xff
        touching = runs.touching()
        parts = sizes_of(truths, runs.lengths, touching, truth.size)
        is_claim = claims != VOID
        is_right = is_claim & (claims == truths)
        self.hits += self.pixels(truths, parts, runs.lengths, is_right)
        self.unions += self.pixels(truths, parts, runs.lengths, truths != VOID)
        one, other = alike(claims, touching)
        is_false = is_claim & ~is_right
        together = is_false[one] & is_false[other]
        root = components(len(claims), one[together], other[together])
        # Of a chain of false runs, one that touches a right one is enough: it reaches them all.
        is_reached = np.zeros((len(SIZES), len(claims)), bool)
        for false, right in ((one, other), (other, one)):
            touch = is_false[false] & is_right[right]
            is_reached[parts[right[touch]], root[false[touch]]] = True
        for row, reached in enumerate(is_reached):
            claimed = np.flatnonzero(is_false)
            claimed = claimed[reached[root[claimed]]]
            self.unions[row] += np.bincount(claims[claimed], runs.lengths[claimed],
                                            self.unions.shape[1]).astype(np.int64)

    def pixels(self, ids: np.ndarray, parts: np.ndarray, lengths: np.ndarray, chosen: np.ndarray
               ) -> np.ndarray:
        """(N,) ids, rows in SIZES, lengths and choice of runs -> (3, C) pixels."""
        rows, classes = self.hits.shape
        place = ids[chosen].astype(np.intp) + parts[chosen] * classes
        return np.bincount(place, lengths[chosen], rows * classes).astype(np.int64).reshape(
            rows, classes)

    def iou(self, size: str) -> np.ndarray:
        """(C,) in [0, 1]; nan for classes without objects of this size."""
        row = SIZES.index(size)
        return ratio(self.hits[row], self.unions[row])

    def mean_iou(self, size: str) -> float:
        """Mean of iou() over the classes that have objects of this size; nan without any."""
        return mean(self.iou(size))


def alike(values: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
          ) -> tuple[np.ndarray, np.ndarray]:
    """(N,) values, pairs (M,) each -> the pairs of equal values."""
    one, other = pairs
    kept = values[one] == values[other]
    return one[kept], other[kept]


def sizes_of(truths: np.ndarray, lengths: np.ndarray, touching: tuple[np.ndarray, np.ndarray],
             pixels: int) -> np.ndarray:
    """(N,) true ids and lengths of runs, which touch -> (N,) row in SIZES of their objects."""
    root = components(len(truths), *alike(truths, touching))
    areas = np.bincount(root, lengths, len(root))[root]
    return np.searchsorted(np.multiply(LIMITS, pixels), areas, side='right')
