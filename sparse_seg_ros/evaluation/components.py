# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Connected components of all classes of an image at once, from its runs of equal pixels."""

from __future__ import annotations

import numpy as np


class Runs:
    """
    An image as runs of equal values along its rows.

    starts: (N,) flat positions; values, lengths, rows, first, last: (N,), the columns inclusive.
    """

    def __init__(self, image: np.ndarray):
        width = image.shape[1]
        begins = np.ones(image.shape, bool)
        np.not_equal(image[:, 1:], image[:, :-1], out=begins[:, 1:])
        self.starts = np.flatnonzero(begins)
        self.values = image.ravel()[self.starts]
        self.lengths = np.diff(self.starts, append=image.size)
        self.rows, self.first = np.divmod(self.starts, width)
        self.last = self.first + self.lengths - 1
        self.width = width

    def touching(self) -> tuple[np.ndarray, np.ndarray]:
        """
        Return pairs of runs that touch, at a corner at least, (M,) each.

        The first one of a pair lies above the second, or left of it.
        """
        count = len(self.starts)
        has_above = np.flatnonzero(self.rows > 0)
        above = (self.rows[has_above] - 1) * self.width
        low = np.searchsorted(self.starts, above + np.maximum(self.first[has_above] - 1, 0),
                              side='right') - 1
        high = np.searchsorted(self.starts, above + np.minimum(
            self.last[has_above] + 1, self.width - 1), side='right') - 1
        many = high - low + 1
        below = np.repeat(has_above, many)
        steps = np.arange(len(below)) - np.repeat(np.cumsum(many) - many, many)
        upper = np.repeat(low, many) + steps
        right = np.flatnonzero(self.rows[1:] == self.rows[:-1]) + 1 if count else below
        return np.append(upper, right - 1), np.append(below, right)


def components(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Number of nodes, pairs that are connected, (M,) each -> (count,) the lowest node of each."""
    root = np.arange(count)
    while len(one):
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while True:  # to the top of each chain
            higher = root[root]
            if np.array_equal(higher, root):
                break
            root = higher
        one, other = root[one], root[other]
        is_open = one != other
        one, other = one[is_open], other[is_open]
    return root
