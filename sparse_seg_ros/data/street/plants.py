# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes and hedges: ragged grey sprites from noise, tinted when painted."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_seg_ros.data.street.canvas import Canvas
from sparse_seg_ros.data.street.textures import foliage

TREE = 5


@dataclass(frozen=True)
class Tree:
    """A trunk with one to three crowns."""

    x: float
    z: float
    height: float
    spread: float
    colour: tuple
    variant: int
    order: float

    def paint(self, canvas: Canvas) -> None:
        if self.z < canvas.view.z + 3:
            return
        column, row, scale = canvas.view.place(self.x, self.z)
        bark = canvas.paint((86, 72, 60), self.z, TREE, 0.9)
        dark = canvas.paint((60, 50, 44), self.z, TREE, 0.9)
        fork = row - scale * self.height * 0.55
        width = scale * (0.16 + 0.02 * self.height)
        lean = scale * 0.15 * (self.variant % 3 - 1)
        canvas.polygon(np.array([(column - width * 0.6, row), (column + width * 0.6, row),
                                 (column + width * 0.4 + lean, fork),
                                 (column - width * 0.4 + lean, fork)]), bark)
        canvas.limb((column + width * 0.3, row), (column + width * 0.2 + lean, fork),
                    width * 0.3, dark)
        canvas.limb((column, row - scale * self.height * 0.3),
                    (column + scale * self.spread * 0.3, fork), width * 0.35, dark)
        self._paint_crowns(canvas)

    def _paint_crowns(self, canvas: Canvas) -> None:
        for index in range(1 + self.variant % 3):
            shift = (0.0, -0.28, 0.3)[index] * self.spread
            low = self.height * (0.28, 0.36, 0.45)[index]
            high = self.height * (1.0, 0.86, 0.93)[index]
            half = self.spread * (0.5, 0.4, 0.36)[index] * 1.15
            texture = foliage((self.variant + 3 * index) % 8, False)
            x = self.x + shift
            canvas.wall(texture, ((x - half, self.z), (x + half, self.z)), (low, high), TREE,
                        self.colour)

    def shadow(self):
        return (self.x, self.z - 0.3 * self.spread, 0.35 * self.spread, 0.6 * self.spread,
                self.height * 0.8)


@dataclass(frozen=True)
class Hedge:
    """A hedge or a row of bushes along the road."""

    x: float
    z: float
    length: float
    height: float
    colour: tuple
    variant: int
    order: float

    def paint(self, canvas: Canvas) -> None:
        side = 1.0 if self.x > 0 else -1.0
        texture = foliage(self.variant % 8, True)
        canvas.wall(texture, ((self.x, self.z), (self.x + side * 1.2, self.z)),
                    (0, self.height * 1.2), TREE, self.colour)
        pieces = max(1, round(self.length / 3.0))
        step = self.length / pieces
        for index in reversed(range(pieces)):
            start = self.z + index * step
            canvas.wall(foliage((self.variant + index) % 8, True),
                        ((self.x, start), (self.x, start + step)), (0, self.height * 1.3), TREE,
                        self.colour)

    def shadow(self):
        return (self.x, self.z, 0.4, self.length, self.height)
