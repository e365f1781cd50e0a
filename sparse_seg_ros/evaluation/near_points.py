# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which points of a class have a point of the same class nearby: exact, and fast for many classes.

Cells of some pixels decide most of it: where a cell near enough as a whole holds the class, or
none within reach does. The pixels of the disc are looked at for the other points alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sparse_seg_ros.labels import VOID

CHUNK = 1024  # points at a time
NO, PERHAPS, YES = range(3)


class Points:
    """The points of an image (H, W) of uint8 ids, void where there is none; (N,) each."""

    def __init__(self, image: np.ndarray):
        self.image = image
        self.flat = np.flatnonzero(image != VOID)
        self.rows, self.columns = np.divmod(self.flat, image.shape[1])
        self.ids = image.ravel()[self.flat]


class Cells:
    """
    Square cells over an image, a plane for each id, with a margin around.

    ids: those that occur. reach: cells that a disc of the radius touches on either side.
    """

    def __init__(self, size_hw: tuple[int, ...], ids: np.ndarray, radius: float):
        self.radius, self.side = radius, max(1, round(radius / 5))
        self.reach = int(radius / self.side) + 1
        self.planes = np.zeros(VOID, np.intp)
        self.planes[ids] = np.arange(len(ids))
        self.shape = (len(ids), *(-(-length // self.side) + 2 * self.reach for length in size_hw))
        self.count = math.prod(self.shape)

    def of(self, points: Points) -> np.ndarray:
        """Return the flat position of each point's cell, (N,)."""
        rows, columns = (side // self.side + self.reach for side in (points.rows, points.columns))
        return (self.planes[points.ids] * self.shape[1] + rows) * self.shape[2] + columns

    def where(self, places: np.ndarray) -> np.ndarray:
        """(N,) flat positions -> (cells,) bool."""
        is_there = np.zeros(self.count, bool)
        is_there[places] = True
        return is_there

    def answers(self, places: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(N,) flat positions of points, (M,) of other points -> (N,) NO, PERHAPS or YES."""
        is_there, table = self.where(others), np.full(self.count, NO, np.uint8)
        open_cells = np.flatnonzero(self.where(places))
        for answer, steps in zip((YES, PERHAPS), disc(self.reach, self.side, self.radius)):
            is_hit = np.zeros(len(open_cells), bool)
            for step in steps @ (self.shape[2], 1):
                is_hit |= is_there[open_cells + step]
            table[open_cells[is_hit]] = answer
            open_cells = open_cells[~is_hit]
        return table[places]


def meet(one: Points, other: Points, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which points have one of the other image within the radius, (N,) and (M,) bool."""
    ids = np.flatnonzero(np.bincount(one.ids, minlength=VOID) + np.bincount(
        other.ids, minlength=VOID))
    cells = Cells(one.image.shape, ids, radius)
    of_one, of_other = cells.of(one), cells.of(other)
    return (decide(cells.answers(of_one, of_other), one, other, radius),
            decide(cells.answers(of_other, of_one), other, one, radius))


def decide(answers: np.ndarray, points: Points, others: Points, radius: float) -> np.ndarray:
    """(N,) answers of the cells -> (N,) bool; looks at the pixels where they are PERHAPS."""
    is_near, left = answers == YES, np.flatnonzero(answers == PERHAPS)
    margin = int(radius)
    side = 2 * margin + 1
    padded = np.pad(others.image, margin, constant_values=VOID)
    windows = sliding_window_view(padded, (side, side))
    is_within = np.zeros((side, side), bool)
    is_within[tuple((disc(margin, 1, radius)[0] + margin).T)] = True
    for first in range(0, len(left), CHUNK):
        part = left[first:first + CHUNK]
        around = windows[points.rows[part], points.columns[part]]  # (n, side, side)
        is_same = around == points.ids[part, None, None]
        is_near[part] = (is_same & is_within).any((1, 2))
    return is_near


def disc(reach: int, side: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the steps (n, 2) between cells all pixels of which are within the radius, or some.

    side: pixels along a cell. For cells of one pixel both are the same.
    """
    steps = np.abs(np.arange(-reach, reach + 1))
    farthest, nearest = side * (steps + 1) - 1, np.maximum(side * (steps - 1) + 1, 0)
    nearest[reach] = 0
    all_near, some_near = (
        np.argwhere(np.add.outer(far ** 2, far ** 2) <= radius ** 2) - reach
        for far in (farthest, nearest))
    return all_near, some_near
