# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""House fronts with bricks, windows and doors, and the fences between them."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sparse_seg_ros.data.street.canvas import Canvas
from sparse_seg_ros.data.street.textures import Texture, fence, make_texture, noise

BUILDING, FENCE = 1, 7
WALL_COLOURS = ((150, 82, 66), (122, 70, 58), (168, 140, 112), (196, 184, 160), (128, 128, 130),
                (98, 100, 106), (205, 200, 192), (176, 160, 96), (110, 124, 112), (140, 150, 170))


@dataclass(frozen=True)
class House:
    """A box whose front runs along the road at `x` and whose gable faces the camera."""

    x: float
    z: float
    length: float
    height: float
    depth: float
    front: Callable[[float], Texture]  # pixels per metre -> texture
    gable: Callable[[float], Texture]
    detail: float  # pixels per metre nearby
    roof: tuple[float, tuple]  # rise in metres (0: flat) and colour
    order: float

    def paint(self, canvas: Canvas) -> None:
        side = 1.0 if self.x > 0 else -1.0
        sun = canvas.weather.sun_per_metre
        strength = canvas.weather.shadow
        bright = 230 + 90 * strength * (1 if sun[0] * side > 0 else -1)
        front, gable = (bright,) * 3, (230 + 90 * strength * (0.8 if sun[1] > 0 else -1),) * 3
        back = self.z + self.length
        if self.roof[0]:
            self._paint_roof(canvas, side, bright / 255)
        outer = self.x + side * self.depth
        detail = self.detail if self.z < canvas.view.z + 45 else self.detail / 3
        if back < canvas.view.z + 4:
            return
        if self.z > canvas.view.z + 4:
            canvas.wall(self.gable(detail), ((self.x, self.z), (outer, self.z)), (0, self.height),
                        BUILDING, gable)
        canvas.wall(self.front(detail), ((self.x, self.z), (self.x, back)), (0, self.height),
                    BUILDING, front)

    def _paint_roof(self, canvas: Canvas, side: float, shade: float) -> None:
        rise, colour = self.roof
        near, far = self.z, self.z + self.length
        if far < canvas.view.z + 2:
            return
        ridge, eaves = self.x + side * self.depth / 2, self.x - side * 0.3
        top = self.height + rise
        paint = canvas.paint(colour, max(near, canvas.view.z), BUILDING, shade)
        dark = canvas.paint(colour, max(near, canvas.view.z), BUILDING, shade * 0.7)
        points = canvas.view.project(np.array([
            (eaves, self.height, near), (ridge, top, near), (ridge, top, far),
            (eaves, self.height, far), (self.x + side * self.depth, self.height, near)]))
        canvas.polygon(points[[0, 1, 4]], dark)
        canvas.polygon(points[:4], paint)

    def shadow(self):
        """Footprint (x, z, half width, length) and height."""
        side = 1.0 if self.x > 0 else -1.0
        return (self.x + side * self.depth / 2, self.z, self.depth / 2, self.length, self.height)


@dataclass(frozen=True)
class Fence:
    """A fence along the road, `order` far enough to be painted before what stands in front."""

    x: float
    z: float
    length: float
    height: float
    style: str
    colour: tuple
    order: float

    def paint(self, canvas: Canvas) -> None:
        texture = fence(self.style, max(2, round(self.length)))
        canvas.wall(texture, ((self.x, self.z), (self.x, self.z + self.length)),
                    (0, self.height), FENCE, self.colour)

    def shadow(self):
        return (self.x, self.z, 0.05, self.length, self.height * 0.6)


def draw_front(seed: int, metres: tuple[float, float], colour: np.ndarray, lit: bool,
               detail: float) -> Texture:
    """House front of (length, height) metres at `detail` pixels per metre."""
    random = np.random.default_rng(seed)
    columns, rows = (min(1023, max(8, int(side * detail))) for side in metres)
    wall = np.empty((rows, columns, 3), np.float32)
    wall[:] = colour
    if random.random() < 0.6:
        _lay_bricks(wall, detail)
    down, right = (random.random(2) * (1024 - rows, 1024 - columns)).astype(int)
    for size, strength in ((8, 8), (64, 6)):
        stains = noise(1024, size, 3, 41)[down:down + rows, right:right + columns]
        wall += stains[..., None] * strength
    front = np.uint8(np.clip(wall, 0, 255))
    _cut_windows(front, random, metres, lit)
    return make_texture(front)


def _lay_bricks(wall: np.ndarray, detail: float) -> None:
    course = max(2, round(0.17 * detail))
    brick = course * 3
    rows, columns = np.arange(wall.shape[0]), np.arange(wall.shape[1])
    wall[rows % course == 0] += 24
    shifted = columns + (rows[:, None] // course % 2) * (brick // 2)
    wall[shifted % brick == 0] += 16


def _cut_windows(front, random: np.random.Generator, metres, lit: bool) -> None:
    length, height = metres
    floors = max(1, round(height / 3.1))
    bays = max(1, int(length / random.uniform(2.0, 3.4)))
    bay, storey = front.shape[1] / bays, front.shape[0] / floors
    width, tall = random.uniform(0.35, 0.62), random.uniform(0.42, 0.6)
    frame = tuple(int(value) for value in random.choice([235, 200, 70, 45]) * np.ones(3))
    shop = random.random() < 0.4
    for floor in range(floors):
        ground = floor == floors - 1
        for column in range(bays):
            centre, top = (column + 0.5) * bay, (floor + 0.24) * storey
            half, bottom = bay * width / 2, top + storey * tall
            glass = _glass(random, lit)
            if ground and shop:
                half, bottom = bay * 0.44, top + storey * 0.66
            elif ground and random.random() < 0.35:
                half, bottom = bay * 0.2, front.shape[0]
                glass = tuple(int(value) for value in random.integers(30, 150, 3))
            _window(front, (centre - half, top, centre + half, bottom), glass, frame)
        if ground and shop:
            sign = tuple(int(value) for value in random.integers(30, 220, 3))
            cv2.rectangle(front, (0, int(floor * storey)),
                          (front.shape[1], int((floor + 0.2) * storey)), sign, -1)
    cv2.rectangle(front, (0, 0), (front.shape[1], int(0.07 * storey)), frame, -1)


def _glass(random: np.random.Generator, lit: bool) -> tuple:
    if lit and random.random() < 0.4:
        return (255, 220, 150)
    value = random.uniform(25, 110)
    return (int(value * 0.9), int(value), int(value * 1.12))


def _window(front: np.ndarray, edges, glass: tuple, frame: tuple) -> None:
    left, top, right, bottom = (int(edge) for edge in edges)
    line = max(1, (right - left) // 14)
    cv2.rectangle(front, (left - line, top - line), (right + line, bottom + line), frame, -1)
    cv2.rectangle(front, (left, top), (right, bottom), glass, -1)
    bright = tuple(min(255, value + 35) for value in glass)
    cv2.fillPoly(front, [np.int32([(left, top), ((left + right) // 2, top), (left, bottom)])],
                 bright)
    middle = (left + right) // 2
    cv2.line(front, (middle, top), (middle, bottom), frame, line)
