# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pedestrians in mid-stride and cyclists on thin wheels."""
from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sparse_seg_ros.data.street.canvas import Canvas

PEDESTRIAN, BICYCLIST = 9, 10
SKIN = ((236, 200, 172), (198, 150, 118), (140, 98, 72), (92, 62, 46))
HAIR = ((30, 24, 20), (70, 48, 32), (150, 118, 70), (140, 140, 140), (62, 60, 70))


@dataclass(frozen=True)
class Person:
    """Someone walking or standing; `stride` is the phase of the walk in radians."""

    x: float
    z: float
    height: float
    stride: float
    swing: float  # how far the legs part, 0 standing .. 1
    top: tuple
    trousers: tuple
    variant: int

    @property
    def order(self) -> float:
        return self.z

    def paint(self, canvas: Canvas) -> None:
        if self.z < canvas.view.z + 3.5:
            return
        column, row, scale = canvas.view.place(self.x, self.z)
        unit = scale * self.height

        def spot(across: float, up: float) -> tuple[float, float]:
            return column + unit * across, row - unit * up

        top, back, legs, dark_legs, skin, hair = (
            canvas.paint(colour, self.z, PEDESTRIAN, shade) for colour, shade in (
                (self.top, 1.0), (self.top, 0.7), (self.trousers, 1.0), (self.trousers, 0.7),
                (SKIN[self.variant % 4], 1.0), (HAIR[self.variant % 5], 1.0)))
        step = self.swing * math.sin(self.stride) * 0.13
        for sign, paint in ((-1, dark_legs), (1, legs)):
            knee, foot = spot(sign * (step * 0.6 + 0.03), 0.26), spot(sign * (step + 0.035), 0.02)
            canvas.limb(spot(0.03 * sign, 0.48), knee, unit * 0.085, paint)
            canvas.limb(knee, foot, unit * 0.06, paint)
            canvas.limb(foot, (foot[0] + unit * 0.03, foot[1]), unit * 0.035, hair)
        canvas.limb(spot(-0.1, 0.78), spot(-0.12 + step * 0.8, 0.5), unit * 0.055, back)
        torso = np.array([spot(-0.1, 0.82), spot(0.1, 0.82), spot(0.08, 0.47), spot(-0.08, 0.47)])
        if self.variant % 5 == 0:  # a coat down to the knees
            torso[2:] = spot(0.12, 0.3), spot(-0.12, 0.3)
        canvas.polygon(torso, top)
        canvas.polygon(torso[[1, 2]].repeat(2, 0) - [(0, 0), (unit * 0.05, 0), (0, 0),
                                                    (unit * 0.03, 0)], back)
        canvas.limb(spot(0.1, 0.78), spot(0.13 - step, 0.5), unit * 0.055, top)
        canvas.limb(spot(0, 0.82), spot(0, 0.86), unit * 0.05, skin)
        canvas.disc(spot(0, 0.925), unit * 0.068, hair)
        canvas.disc(spot(0.01, 0.905), unit * 0.055, skin if self.variant % 2 else hair)
        if self.variant % 3 == 0:
            canvas.limb(spot(0.15, 0.5), spot(0.16, 0.36), unit * 0.1, hair)

    def shadow(self):
        return (self.x, self.z - 0.15, 0.22, 0.3, self.height)


@dataclass(frozen=True)
class Cyclist:
    """A rider and a bicycle; `heading` 0 rides away, pi/2 across the picture."""

    x: float
    z: float
    heading: float
    stride: float
    top: tuple
    trousers: tuple
    variant: int
    is_beside_cars: bool  # on the lane's side of parked cars, so in front of them

    @property
    def order(self) -> float:
        return self.z - (4.5 if self.is_beside_cars else 0.0)

    def paint(self, canvas: Canvas) -> None:
        if self.z < canvas.view.z + 4:
            return
        column, row, scale = canvas.view.place(self.x, self.z)
        across = math.sin(self.heading)
        stretch = math.copysign(max(abs(across), 0.16), across or 1.0)

        def spot(along: float, up: float, side: float = 0.0) -> tuple[float, float]:
            return column + scale * (along * stretch + side * math.cos(self.heading)), \
                row - scale * up

        self._paint_bicycle(canvas, spot, scale, stretch)
        self._paint_rider(canvas, spot, scale)

    def _paint_bicycle(self, canvas: Canvas, spot, scale: float, stretch: float) -> None:
        tyre = canvas.paint((30, 30, 32), self.z, BICYCLIST)
        colour = ((160, 30, 30), (40, 60, 140), (190, 190, 190), (25, 25, 25))[self.variant % 4]
        frame = canvas.paint(colour, self.z, BICYCLIST)
        axes = (max(1, round(scale * 0.33 * abs(stretch))), max(1, round(scale * 0.33)))
        for along in (-0.52, 0.52):
            hub = spot(along, 0.34)
            cv2.ellipse(canvas.pixels, (round(hub[0]), round(hub[1])), axes, 0, 0, 360, tyre,
                        max(1, round(scale * 0.05)), cv2.LINE_8)
        tube = scale * 0.045
        for start, end in (((-0.52, .34), (-0.18, .85)), ((-0.52, .34), (0, .32)),
                           ((0, .32), (-0.18, .88)), ((0, .32), (.4, .85)),
                           ((-0.15, .78), (.38, .8)), ((.52, .34), (.38, 1.02))):
            canvas.limb(spot(*start), spot(*end), tube, frame)
        canvas.limb(spot(0.4, 1.03, -0.26), spot(0.4, 1.03, 0.26), tube, tyre)

    def _paint_rider(self, canvas: Canvas, spot, scale: float) -> None:
        hat = (*HAIR, (220, 220, 225))[self.variant % 6]
        top, back, legs, dark_legs, skin, hat = (
            canvas.paint(colour, self.z, BICYCLIST, shade) for colour, shade in (
                (self.top, 1.0), (self.top, 0.7), (self.trousers, 1.0), (self.trousers, 0.7),
                (SKIN[self.variant % 4], 1.0), (hat, 1.0)))
        for sign, paint in ((-1, dark_legs), (1, legs)):
            foot = spot(0.16 * math.cos(self.stride) * sign,
                        0.34 + 0.16 * math.sin(self.stride) * sign, 0.1 * sign)
            knee = spot(0.16, 0.7 + 0.1 * math.sin(self.stride) * sign, 0.13 * sign)
            canvas.limb(spot(-0.16, 0.92, 0.08 * sign), knee, scale * 0.14, paint)
            canvas.limb(knee, foot, scale * 0.1, paint)
        canvas.limb(spot(-0.14, 0.98), spot(0.12, 1.4), scale * 0.32, top)
        canvas.limb(spot(-0.16, 0.94), spot(-0.12, 1.1), scale * 0.26, back)
        for sign in (-1, 1):
            canvas.limb(spot(0.12, 1.38, 0.18 * sign), spot(0.38, 1.06, 0.22 * sign),
                        scale * 0.09, back if sign < 0 else top)
        canvas.disc(spot(0.2, 1.62), scale * 0.12, skin)
        canvas.disc(spot(0.18, 1.67), scale * 0.115, hat)

    def shadow(self):
        return (self.x, self.z - 0.5, 0.2, 1.0, 1.6)
