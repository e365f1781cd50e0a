# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cars, vans and buses: a side outline pulled across the width, with glass, wheels and lights."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_seg_ros.data.street.canvas import Canvas

CAR = 8
# Outline from the tail over the roof to the nose: metres along, metres up; what each strip is.
BODIES = {
    'saloon': ((0, .32), (0, .72), (.06, .96), (.62, 1.0), (1.2, 1.42), (2.5, 1.42), (3.3, .98),
               (4.25, .8), (4.35, .3)),
    'hatch': ((0, .32), (0, .7), (.05, .95), (.08, .98), (.45, 1.46), (2.2, 1.48), (3.0, 1.0),
              (3.8, .82), (3.9, .3)),
    'suv': ((0, .42), (0, .85), (.04, 1.08), (.06, 1.1), (.3, 1.7), (2.8, 1.72), (3.5, 1.12),
            (4.5, 1.0), (4.6, .4)),
    'van': ((0, .4), (0, 1.0), (.02, 1.25), (.03, 1.27), (.1, 2.1), (4.0, 2.15), (4.7, 1.25),
            (5.2, 1.05), (5.3, .4)),
    'bus': ((0, .4), (0, 1.1), (.02, 1.4), (.03, 1.42), (.05, 2.95), (9.5, 3.0), (9.75, 1.3),
            (9.8, 1.1), (9.85, .4)),
}
STRIPS = ('body', 'body', 'body', 'glass', 'body', 'glass', 'body', 'body')
SHADES = (0.8, 0.92, 1.15, 0.8, 1.2, 1.0, 1.15, 0.85)
CAR_COLOURS = ((25, 26, 28), (60, 62, 66), (120, 122, 126), (175, 178, 182), (225, 225, 225),
               (150, 25, 28), (30, 55, 120), (40, 80, 65), (95, 75, 60), (190, 160, 60))


@dataclass(frozen=True)
class Car:
    """A car whose nearer end is at `z`, driving away from or towards the camera."""

    x: float
    z: float
    body: str
    colour: tuple
    is_oncoming: bool
    lights_on: bool = False

    @property
    def order(self) -> float:
        return self.z + 0.5

    @property
    def length(self) -> float:
        return BODIES[self.body][-1][0]

    @property
    def half_width(self) -> float:
        return {'van': 0.98, 'bus': 1.22}.get(self.body, 0.89)

    def paint(self, canvas: Canvas) -> None:
        if self.z + self.length < canvas.view.z + 3:
            return
        outline = np.array(BODIES[self.body])
        if self.is_oncoming:
            outline[:, 0] = self.length - outline[:, 0]
        along, up = outline.T
        waist = up[3]
        taper = np.clip((up - waist) / (up.max() - waist), 0, 1)
        half = self.half_width - (0.06 if self.body in ('van', 'bus') else 0.2) * taper
        left = canvas.view.project(np.column_stack([self.x - half, up, self.z + along]))
        right = canvas.view.project(np.column_stack([self.x + half, up, self.z + along]))
        self._paint_underside(canvas)
        self._paint_strips(canvas, left, right, along)
        lateral = self.x + float(canvas.view.sideways(self.z + self.length / 2))
        if abs(lateral) > 0.7 * self.half_width:
            self._paint_side(canvas, -1.0 if lateral > 0 else 1.0, left if lateral > 0 else right)
        if self.z > canvas.view.z + 2:
            self._paint_lights(canvas)

    def _paint_underside(self, canvas: Canvas) -> None:
        wide, far = self.half_width - 0.06, self.z + self.length - 0.3
        points = canvas.view.project(np.array([
            (self.x - wide, 0.45, self.z + 0.1), (self.x + wide, 0.45, self.z + 0.1),
            (self.x + wide, 0.18, self.z + 0.1), (self.x + wide, 0.18, far),
            (self.x - wide, 0.18, far), (self.x - wide, 0.18, self.z + 0.1)]))
        dark = canvas.paint((16, 16, 17), self.z, CAR)
        canvas.polygon(points[[0, 1, 2, 5]], dark)
        near = self.z + (0.6 if not self.is_oncoming else 0.7)
        for side in (-1, 1):
            outer, inner = self.x + side * wide, self.x + side * (wide - 0.22)
            canvas.polygon(canvas.view.project(np.array([
                (outer, 0.5, near), (inner, 0.5, near), (inner, 0, near), (outer, 0, near)])),
                dark)

    def _paint_strips(self, canvas: Canvas, left, right, along) -> None:
        depth = (along[:-1] + along[1:]) / 2
        glass = (48, 56, 64)
        for index in np.argsort(-depth, kind='stable'):
            quad = np.array([left[index], left[index + 1], right[index + 1], right[index]])
            across = (quad[1, 1] - quad[0, 1]) * (1 if self.is_oncoming else -1)
            if across < -0.5:
                continue
            canvas.polygon(quad, canvas.paint(self.colour, self.z, CAR, SHADES[index]))
            if STRIPS[index] == 'glass':
                pane = quad.mean(0) + (quad - quad.mean(0)) * (0.88, 0.8)
                canvas.polygon(pane, canvas.paint(glass, self.z, CAR, SHADES[index]))

    def _paint_side(self, canvas: Canvas, side: float, outline: np.ndarray) -> None:
        shade = canvas.weather.shade_of(side)
        canvas.polygon(outline, canvas.paint(self.colour, self.z, CAR, shade))
        points = np.array(BODIES[self.body])
        rear, roof_rear, roof_front, front = points[3], points[4], points[5], points[6]
        window = np.array([rear + (0.35, 0.04), roof_rear + (0.2, -0.1), roof_front - (0.05, 0.1),
                           front + (-0.4, 0.04)])
        if self.body == 'van':
            window[:2, 0] = window[2, 0] - 1.0
        glass = canvas.paint((40, 47, 55), self.z, CAR, shade)
        canvas.polygon(self._on_side(canvas, side, window, 0.1), glass)
        self._paint_trim(canvas, side, shade, window)
        radius = 0.33 if self.body != 'bus' else 0.48
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        circle = np.column_stack([np.cos(turn), np.sin(turn)])
        tyre, rim = (canvas.paint(tone, self.z, CAR) for tone in ((18, 18, 19), (120, 122, 125)))
        for hub in (0.19 * self.length, 0.81 * self.length):
            centre = np.array([hub, radius])
            canvas.polygon(self._on_side(canvas, side, centre + radius * circle, 0.0), tyre)
            canvas.polygon(self._on_side(canvas, side, centre + 0.55 * radius * circle, 0), rim)

    def _paint_trim(self, canvas: Canvas, side: float, shade: float, window) -> None:
        body = canvas.paint(self.colour, self.z, CAR, shade * 0.8)
        middle = (window[:, 0].min() + window[:, 0].max()) / 2
        low, high = window[:, 1].min(), window[:, 1].max()
        pillars = np.array([(middle - .05, low), (middle + .05, low), (middle + .05, high),
                            (middle - .05, high)])
        canvas.polygon(self._on_side(canvas, side, pillars, 0.1), body)
        sill = np.array([(0.1, .38), (self.length - .1, .38), (self.length - .1, .48), (.1, .48)])
        canvas.polygon(self._on_side(canvas, side, sill, 0.0), body)

    def _on_side(self, canvas: Canvas, side: float, points, inset: float) -> np.ndarray:
        along = self.length - points[:, 0] if self.is_oncoming else points[:, 0]
        across = np.full(len(points), self.x + side * (self.half_width - inset))
        return canvas.view.project(np.column_stack([across, points[:, 1], self.z + along]))

    def _paint_lights(self, canvas: Canvas) -> None:
        column, row, scale = canvas.view.place(self.x, self.z)
        height = BODIES[self.body][1][1] * (0.95 if not self.is_oncoming else 0.9)
        colour = (245, 240, 215) if self.is_oncoming else (185, 22, 26)
        shade = 1.9 if self.lights_on else 1.0
        lamp = canvas.paint(colour, self.z, CAR, shade)
        for side in (-1, 1):
            centre = column + side * scale * (self.half_width - 0.2)
            canvas.box(centre - scale * 0.15, row - scale * (height + 0.08),
                       centre + scale * 0.15, row - scale * (height - 0.07), lamp)
        plate = canvas.paint((225, 222, 200), self.z, CAR)
        if scale > 12:
            canvas.box(column - scale * 0.26, row - scale * 0.62, column + scale * 0.26,
                       row - scale * 0.5, plate)

    def shadow(self):
        return (self.x, self.z - 0.1, self.half_width, self.length + 0.2, 0.9)
