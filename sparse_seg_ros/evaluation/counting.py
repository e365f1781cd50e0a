# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Histograms of whole images, exact and fast; and sums of integers that add up in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import cv2
import numpy as np

from sparse_seg_ros.labels import VOID

LEVELS = 1 << 16  # codes of a fraction
IDS = 256
EXACT = 1 << 24  # OpenCV counts in float32, which is exact up to here
Part = TypeVar('Part', bound='Sums')


class Sums:
    """Has integers and arrays of integers as its attributes, and nothing else."""

    def __add__(self: Part, other: Part) -> Part:
        """Return the sums of both."""
        return self.with_values({name: value + getattr(other, name)
                                 for name, value in vars(self).items()})

    def with_values(self: Part, values: dict[str, Any]) -> Part:
        """Return another one with these attributes."""
        both = object.__new__(type(self))
        vars(both).update(values)
        return both


def codes_of(fractions: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1] -> (H, W) uint16, round(65535 x)."""
    return cv2.addWeighted(fractions, LEVELS - 1.0, fractions, 0, 0, dtype=cv2.CV_16U)


def count_codes(codes: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """(H, W) uint16, (H, W) uint8, 0 where it does not count -> (65536,) int64."""
    return histogram([codes], chosen, [LEVELS])


def count_pairs(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(H, W) uint8 each -> (256, 256) int64, rows are the truth."""
    return histogram([truth, predicted], None, [IDS, IDS])


def histogram(planes: list[np.ndarray], chosen: np.ndarray | None, sizes: list[int]
              ) -> np.ndarray:
    """(H, W) planes of integers -> how often each combination of values occurs, in int64."""
    total, ranges = np.zeros(sizes, np.int64), [end for size in sizes for end in (0, size)]
    for part in parts_of(planes[0].shape):
        counts = cv2.calcHist([plane[part] for plane in planes], list(range(len(planes))),
                              None if chosen is None else chosen[part], sizes, ranges)
        total += counts.reshape(sizes).astype(np.int64)
    return total


def parts_of(size_hw: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield parts of an image that are counted exactly; none of an empty image."""
    height, width = size_hw
    columns = min(width, EXACT)
    rows = EXACT // max(columns, 1)
    for top in range(0, height, rows):
        for left in range(0, width, EXACT):
            yield slice(top, top + rows), slice(left, left + columns)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(C,) each -> (C,) part / whole; nan where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def mean(scores: np.ndarray) -> float:
    """Return the mean of the scores that are numbers; nan where none is."""
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float('nan')


def without_void(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(H, W) ids each -> (H, W) the predicted ones, void where the truth is void."""
    return void_where(truth == VOID, predicted)


def void_where(is_void: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(H, W) bool, (H, W) uint8 ids -> the ids, void where that is said."""
    return labels | np.negative(is_void.view(np.uint8))  # 255 is all bits
