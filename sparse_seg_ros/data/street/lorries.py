# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lorries: a cab, and behind it a box, a tarpaulin or a tank; among the classes they are cars."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from sparse_seg_ros.data.street.canvas import Canvas
from sparse_seg_ros.data.street.cars import CAR
from sparse_seg_ros.data.street.textures import Texture, make_texture, noise

LOADS = ('box', 'tarpaulin', 'tank')
HALF_WIDTH = 1.24
CAB_METRES, CAB_TOP = 1.9, 2.9
BED, SILL = 1.15, 0.55  # heights at which load and chassis begin
DARK, GLASS = (26, 27, 29), (42, 50, 58)
PANEL_COLOURS = ((225, 225, 222), (195, 198, 200), (60, 90, 150), (150, 40, 40), (60, 62, 68),
                 (190, 170, 60), (60, 110, 80), (130, 105, 85))


@dataclass(frozen=True)
class Lorry:
    """A lorry whose nearer end is at `z`, driving away from or towards the camera."""

    x: float
    z: float
    length: float
    top: float
    load: str  # one of LOADS
    colour: tuple  # of the cab
    is_oncoming: bool
    variant: int

    @property
    def order(self) -> float:
        return self.z + 0.5

    def shadow(self):
        return (self.x, self.z - 0.1, HALF_WIDTH, self.length + 0.2, 0.9)

    def paint(self, canvas: Canvas) -> None:
        far = self.z + self.length
        if far < canvas.view.z + 3:
            return
        side = -1.0 if self.x + float(canvas.view.sideways(self.z + self.length / 2)) > 0 else 1.0
        shade = canvas.weather.shade_of(side)
        edge = self.z + CAB_METRES if self.is_oncoming else far - CAB_METRES
        self._paint_chassis(canvas, side)
        if self.is_oncoming:
            self._paint_load(canvas, side, shade, edge + 0.3, far)
            self._paint_cab(canvas, side, shade, self.z, edge)
        else:
            self._paint_cab(canvas, side, shade, edge, far)
            self._paint_load(canvas, side, shade, self.z, edge - 0.3)
            self._paint_tail(canvas)

    def _paint_chassis(self, canvas: Canvas, side: float) -> None:
        self._side(canvas, side * 0.7, (self.z, self.z + self.length), (SILL, BED), DARK)
        self._end(canvas, self.z, (SILL, BED), DARK)
        for part in (0.14, 0.28, 0.84):
            hub = self.z + self.length * (1 - part if self.is_oncoming else part)
            for across in (-side, side):
                self._paint_wheel(canvas, across, hub)

    def _paint_wheel(self, canvas: Canvas, side: float, hub: float) -> None:
        if hub - 0.5 < canvas.view.z + 1:
            return
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        tyre, rim = (18, 18, 19), (110, 112, 115)
        for radius, inset, tone in ((0.5, 0.3, tyre), (0.5, 0.0, tyre), (0.27, 0.0, rim)):
            circle = np.column_stack([
                np.full(14, self.x + side * (HALF_WIDTH - inset)), 0.5 + radius * np.sin(turn),
                hub + radius * np.cos(turn)])
            canvas.polygon(canvas.view.project(circle), canvas.paint(tone, self.z, CAR))

    def _paint_cab(self, canvas: Canvas, side: float, shade: float, near: float, far: float):
        self._end(canvas, near, (SILL, CAB_TOP), self.colour)
        self._side(canvas, side, (near, far), (SILL, CAB_TOP), self.colour, shade)
        self._side(canvas, side, (near + 0.5, far - 0.5), (1.75, 2.5), GLASS, shade)
        if self.is_oncoming:
            self._end(canvas, near, (1.6, 2.6), GLASS, 1.0, 0.9)
            self._end(canvas, near, (0.75, 1.3), DARK, 1.0, 0.7)
            self._paint_lamps(canvas, (245, 240, 215), 0.75)

    def _paint_load(self, canvas: Canvas, side: float, shade: float, near: float, far: float):
        if self.load == 'tank':
            self._paint_tank(canvas, side, shade, near, far)
            return
        texture = panel(self.load, self.variant)
        wall = self.x + side * HALF_WIDTH
        ends = ((wall, near), (wall, far)) if side > 0 else ((wall, far), (wall, near))
        canvas.wall(texture, ends, (BED, self.top), CAR, (255 * min(shade, 1.0),) * 3)
        left, right = self.x - HALF_WIDTH, self.x + HALF_WIDTH
        canvas.wall(texture, ((left, near), (right, near)), (BED, self.top), CAR, (235,) * 3)
        if not self.is_oncoming:  # the gap between its doors
            self._end(canvas, near, (BED, self.top), DARK, 1.0, 0.012)

    def _paint_tank(self, canvas: Canvas, side: float, shade: float, near: float, far: float):
        """A polished tube: each strip along it is lit as its slope sees sky or road."""
        turn = np.linspace(0, 2 * np.pi, 33)
        across, up = np.cos(turn), np.sin(turn)
        ring = np.column_stack([self.x + HALF_WIDTH * across,
                                (self.top + BED) / 2 + (self.top - BED) / 2 * up, 0 * turn])
        colour = PANEL_COLOURS[self.variant % 3]
        for index in np.argsort(side * across[:-1], kind='stable'):
            slope = np.sin((turn[index] + turn[index + 1]) / 2)
            gloss = 0.62 + 0.3 * slope + 0.35 * np.exp(-((slope - 0.55) / 0.14) ** 2)
            pair = ring[[index, index + 1, index + 1, index]]
            pair[:, 2] = near, near, far, far
            canvas.polygon(canvas.view.project(pair),
                           canvas.paint(colour, self.z, CAR, gloss * (0.6 + 0.4 * shade)))
        facing = ring[side * across >= 0]
        for seam in np.linspace(near, far, 6)[1:-1]:
            if seam > canvas.view.z + 1:
                hoop = np.vstack([facing + (0, 0, seam), facing[::-1] + (0, 0, seam + 0.08)])
                canvas.polygon(canvas.view.project(hoop), canvas.paint(colour, self.z, CAR, 0.5))
        lid = canvas.view.project(ring + (0, 0, near))
        canvas.polygon(lid, canvas.paint(colour, self.z, CAR, 0.75))
        canvas.polygon(lid.mean(0) + 0.8 * (lid - lid.mean(0)),
                       canvas.paint(colour, self.z, CAR, 0.9))

    def _paint_tail(self, canvas: Canvas) -> None:
        self._end(canvas, self.z, (BED - 0.25, BED), (200, 200, 196))
        for left in np.arange(-HALF_WIDTH, HALF_WIDTH - 0.2, 0.5):
            corners = [(self.x + left + lean, up, self.z) for lean, up in
                       ((0, BED - .25), (0.25, BED - .25), (0.4, BED), (0.15, BED))]
            stripe = canvas.paint((190, 40, 36), self.z, CAR)
            canvas.polygon(canvas.view.project(np.array(corners)), stripe)
        self._paint_lamps(canvas, (185, 22, 26), 0.8)

    def _paint_lamps(self, canvas: Canvas, colour: tuple, height: float) -> None:
        if self.z < canvas.view.z + 2:
            return
        column, row, scale = canvas.view.place(self.x, self.z)
        lamp = canvas.paint(colour, self.z, CAR, 1.3)
        for side in (-1, 1):
            centre = column + side * scale * (HALF_WIDTH - 0.25)
            canvas.box(centre - scale * 0.17, row - scale * (height + 0.07),
                       centre + scale * 0.17, row - scale * (height - 0.07), lamp)

    def _side(self, canvas: Canvas, side: float, along, rise, colour, shade: float = 1.0):
        x = self.x + side * HALF_WIDTH
        canvas.polygon(canvas.view.project(np.array([
            (x, rise[0], along[0]), (x, rise[0], along[1]), (x, rise[1], along[1]),
            (x, rise[1], along[0])])), canvas.paint(colour, self.z, CAR, shade))

    def _end(self, canvas: Canvas, z: float, rise, colour, shade: float = 1.0, share: float = 1.0):
        half = share * HALF_WIDTH
        canvas.polygon(canvas.view.project(np.array([
            (self.x - half, rise[0], z), (self.x + half, rise[0], z), (self.x + half, rise[1], z),
            (self.x - half, rise[1], z)])), canvas.paint(colour, self.z, CAR, shade))


@lru_cache(maxsize=48)
def panel(load: str, variant: int) -> Texture:
    """The side of a box (ribs) or of a tarpaulin (folds), with lettering and perhaps a band."""
    random = np.random.default_rng([variant, LOADS.index(load)])
    colour = np.array(PANEL_COLOURS[random.integers(len(PANEL_COLOURS))], np.float32)
    side = np.full((192, 480, 3), colour + random.normal(0, 10, 3), np.float32)
    if random.random() < 0.5:
        top = int(random.integers(0, 150))
        side[top:top + int(random.integers(20, 70))] = random.uniform(30, 240, 3)
    if load == 'box':
        side[:, ::24] *= 0.86
    else:
        side *= 1 + 0.09 * np.roll(cv2.blur(noise(512, 16, 3, 51), (3, 61)), 37 * variant, 1)[
            :192, :480, None]
    side[:6] *= 0.7
    side[-6:] *= 0.6
    pixels = np.uint8(np.clip(side, 0, 255))
    if random.random() < 0.7:
        text = ''.join(random.choice(list('AEIKLMNORST'), int(random.integers(4, 9))))
        ink = tuple(float(tone) for tone in random.uniform(0, 255, 3))
        cv2.putText(pixels, text, (int(random.integers(5, 120)), int(random.integers(80, 150))),
                    cv2.FONT_HERSHEY_DUPLEX, random.uniform(1.2, 2.6), ink,
                    int(random.integers(3, 8)), cv2.LINE_AA)
    return make_texture(pixels)
