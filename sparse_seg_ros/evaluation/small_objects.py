# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Score of small objects: intersection over union of the objects that cover few pixels; or many.

An object is a connected component of one class in the truth. It is small below a fraction of the
image. A prediction counts against the small objects as far as it is connected to one of them. The
larger objects are scored in the same way, to tell what helps small and what helps large ones.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

SMALL_FRACTION = 5e-4  # of the image: 1049 px of 1024x2048, 86 px of 360x480


def small_components(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool -> (H, W) bool: its 8-connected components below SMALL_FRACTION of H x W."""
    _, component, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    is_small = stats[:, cv2.CC_STAT_AREA] < SMALL_FRACTION * mask.size
    is_small[0] = False  # the background
    return is_small[np.asarray(component, np.int32)]


def large_components(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool -> (H, W) bool: its other components."""
    return mask & ~small_components(mask)


class SmallObjects:
    """Adds up intersections and unions of small objects per class, or of those chosen."""

    def __init__(self, num_classes: int,
                 choose: Callable[[np.ndarray], np.ndarray] = small_components):
        self.choose = choose
        self.hits, self.unions = np.zeros((2, num_classes), np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count two (H, W) uint8 arrays of ids; void truth is left out."""
        for index in range(len(self.hits)):
            true = truth == index
            small = self.choose(true)
            if not small.any():
                continue
            claimed = (predicted == index) & (small | ~true)  # other objects are not at stake
            claimed = connected_to(claimed & (truth != 255), small)
            self.hits[index] += np.count_nonzero(claimed & small)
            self.unions[index] += np.count_nonzero(claimed | small)

    def __add__(self, other: SmallObjects) -> SmallObjects:
        """Return the counts of both."""
        both = SmallObjects(len(self.hits), self.choose)
        both.hits, both.unions = self.hits + other.hits, self.unions + other.unions
        return both

    def iou(self) -> np.ndarray:
        """(C,) in [0, 1]; nan for classes without small objects."""
        return np.divide(self.hits, self.unions, out=np.full(len(self.hits), np.nan),
                         where=self.unions > 0)

    def mean_iou(self) -> float:
        """Mean of iou() over the classes that have small objects; nan without any."""
        scores = self.iou()
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float('nan')


def connected_to(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(H, W) bool each -> the components of mask that hold a seed."""
    count, component = cv2.connectedComponents(mask.astype(np.uint8))
    component = np.asarray(component, np.int32)
    is_reached = np.zeros(count, bool)
    is_reached[component[seeds & mask]] = True
    return is_reached[component] & mask
