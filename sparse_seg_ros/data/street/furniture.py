# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thin things beside the road: lamp posts, sign posts, traffic lights and bollards."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_seg_ros.data.street.canvas import Canvas

POLE, SIGN = 2, 6
SIGN_COLOURS = ((200, 30, 30), (30, 70, 170), (240, 240, 235), (230, 190, 40), (30, 120, 70))


@dataclass(frozen=True)
class Post:
    """A post that carries a lamp, a sign, a traffic light or nothing."""

    x: float
    z: float
    height: float
    width: float
    carries: str  # lamp, sign, lights, nothing
    colour: tuple
    variant: int

    @property
    def order(self) -> float:
        return self.z

    def paint(self, canvas: Canvas) -> None:
        if self.z < canvas.view.z + 2.5:
            return
        column, row, scale = canvas.view.place(self.x, self.z)
        width, top = scale * self.width, row - scale * self.height
        paint = canvas.paint(self.colour, self.z, POLE)
        canvas.box(column - width / 2, top, column + width / 2 - 0.5, row, paint)
        if width > 4:
            shade = canvas.paint(self.colour, self.z, POLE, 0.6)
            canvas.box(column + width * 0.15, top, column + width / 2 - 0.5, row, shade)
        if self.carries == 'lamp':
            self._paint_lamp(canvas, column, top, scale)
        elif self.carries == 'sign':
            self._paint_sign(canvas, column, top, scale)
        elif self.carries == 'lights':
            self._paint_lights(canvas, column, top, scale)

    def _paint_lamp(self, canvas: Canvas, column: float, top: float, scale: float) -> None:
        reach = -scale * 1.5 * np.sign(self.x)
        paint = canvas.paint(self.colour, self.z, POLE, 0.9)
        head = canvas.paint((215, 210, 195), self.z, POLE, 1.1)
        width = scale * self.width * 0.6
        canvas.limb((column, top), (column + reach, top - scale * 0.35), width, paint)
        canvas.limb((column + reach * 0.75, top - scale * 0.3),
                    (column + reach * 1.25, top - scale * 0.38), scale * 0.2, head)

    def _paint_sign(self, canvas: Canvas, column: float, top: float, scale: float) -> None:
        radius, middle = scale * 0.31, top + scale * 0.28
        main = canvas.paint(SIGN_COLOURS[self.variant % 5], self.z, SIGN)
        inner = canvas.paint(((235, 235, 230), (35, 35, 40))[self.variant % 5 == 2], self.z, SIGN)
        shape = self.variant % 4
        if shape == 0:
            canvas.disc((column, middle), radius, main)
            canvas.disc((column, middle), radius * 0.68, inner)
        elif shape == 1:
            for size, paint in ((1.1, main), (0.6, inner)):
                half = radius * size
                canvas.polygon(np.array([(column - half, middle + half * 0.8),
                                         (column + half, middle + half * 0.8),
                                         (column, middle - half)]), paint)
        else:
            wide = radius * (1.0 if shape == 2 else 1.7)
            canvas.box(column - wide, middle - radius, column + wide, middle + radius, main)
            canvas.box(column - wide * 0.7, middle - radius * 0.25, column + wide * 0.6,
                       middle + radius * 0.15, inner)

    def _paint_lights(self, canvas: Canvas, column: float, top: float, scale: float) -> None:
        half, height = scale * 0.19, scale * 0.98
        canvas.box(column - half, top, column + half, top + height,
                   canvas.paint((28, 30, 30), self.z, SIGN))
        glow = self.variant % 3
        for index, colour in enumerate(((250, 60, 40), (250, 180, 40), (60, 240, 130))):
            shade = 1.3 if index == glow else 0.22
            canvas.disc((column, top + height * (0.19 + 0.31 * index)), half * 0.62,
                        canvas.paint(colour, self.z, SIGN, shade))

    def shadow(self):
        return (self.x, self.z, self.width / 2, self.width, self.height)
