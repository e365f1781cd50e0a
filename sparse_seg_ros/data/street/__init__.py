# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Street scenes: a seeded procedural drive with exact labels in CamVid's eleven classes.

They are drawn directly at the wanted size, so distant people and poles are as thin as a camera
sees them. Reading order: world (what there is), canvas (camera and brush), backdrop, then the
things.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from sparse_seg_ros.data.street import textures
from sparse_seg_ros.data.street.backdrop import paint_ground, paint_sky, paint_skyline
from sparse_seg_ros.data.street.canvas import Canvas, View
from sparse_seg_ros.data.street.weather import draw_weather
from sparse_seg_ros.data.street.world import World

CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign_symbol', 'fence', 'car',
           'pedestrian', 'bicyclist')
SMALLEST_PIXELS = 64


class Frame(NamedTuple):
    """One picture of a drive: (H, W, 3) uint8 RGB, (H, W) uint8 class ids, and when it was."""

    image: np.ndarray
    label: np.ndarray
    index: int
    time_seconds: float


class Street:
    """
    One drive down one street.

    `frame` takes any index in any order: the same seed, size and index give the same
    bytes. Another seed is another street, weather, traffic and camera mounting.
    """

    def __init__(self, seed: int, size_hw: tuple[int, int] = (1024, 2048),
                 frames_per_second: float = 10.0):
        self.size_hw = _checked_size(size_hw)
        self.seed = _checked_count('seed', seed)
        if not (frames_per_second > 0 and math.isfinite(frames_per_second)):
            raise ValueError(f'frames_per_second must be above 0, got {frames_per_second}; '
                             'pass the rate of your camera, such as 10.0')
        self.frames_per_second = float(frames_per_second)
        random = np.random.default_rng([self.seed, 10])
        self.weather = draw_weather(random)
        scale = math.sqrt(self.size_hw[0] * self.size_hw[1])
        detail = float(np.clip(scale / 36, 8, 36))  # pixels per metre of a house front
        self.world = World(self.seed, detail, self.weather.mood in ('dusk', 'gloom'))
        self._focal = scale * random.uniform(0.98, 1.2)
        self._horizon = random.uniform(0.45, 0.54)
        self._height = random.uniform(1.25, 1.65)
        self._speed = random.uniform(5, 12)
        self._start = random.uniform(0, 3000)

    def frame(self, index: int) -> Frame:
        """Index of the frame, from 0 -> Frame."""
        seconds = _checked_count('index', index) / self.frames_per_second
        canvas = Canvas(self._view(seconds), self.weather)
        things = self.world.things(canvas.view.z, seconds)
        paint_sky(canvas, self.seed)
        paint_skyline(canvas, self.seed)
        paint_ground(canvas, self.world.surface, things)
        for thing in things:
            thing.paint(canvas)
        label = cv2.extractChannel(canvas.pixels, 3)
        return Frame(self._expose(canvas.pixels, index), label, int(index), seconds)

    def _view(self, seconds: float) -> View:
        height, width = self.size_hw
        z = self._start + self._speed * seconds
        lane = self.world.side * self.world.surface.lane_edge / 2
        bounce = 0.0015 * math.sin(7.0 * seconds) + 0.001 * math.sin(11.3 * seconds)
        return View(size_hw=self.size_hw, focal=self._focal,
                    centre=(width / 2, height * self._horizon + self._focal * bounce),
                    height=self._height, x=lane + 0.12 * math.sin(0.5 * seconds), z=z,
                    bend=self.world.bend)

    def _expose(self, pixels: np.ndarray, index: int) -> np.ndarray:
        """(H, W, 4) painted -> (H, W, 3) uint8 with the softness and noise of a camera."""
        height, width = self.size_hw
        image = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
        image = cv2.GaussianBlur(image, (3, 3), self.weather.blur)
        grain = textures.grain()
        random = np.random.default_rng([self.seed, 14, index])
        noise = self.weather.noise
        for top in range(0, height, 768):
            for left in range(0, width, 768):
                part = image[top:top + 768, left:left + 768]
                row, column = random.integers(0, 256, 2)
                sample = grain[row:row + part.shape[0], column:column + part.shape[1]]
                part[:] = cv2.addWeighted(part, 1.0, sample, noise, -128 * noise)
        return image


def street_frames(seed: int, count: int,
                  size_hw: tuple[int, int] = (1024, 2048)) -> Iterator[tuple]:
    """
    `count` independent snapshots, each of another drive -> (image, label) pairs.

    Image (H, W, 3) uint8 RGB, label (H, W) uint8. Raises ValueError at once for bad arguments.
    """
    seed, count = _checked_count('seed', seed), _checked_count('count', count)
    size_hw = _checked_size(size_hw)
    drives = np.random.SeedSequence(seed).spawn(count)
    return (_snapshot(int(drive.generate_state(1)[0]), size_hw) for drive in drives)


def _snapshot(seed: int, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    frame = Street(seed, size_hw).frame(seed % 97)
    return frame.image, frame.label


def _checked_count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f'{name} must be a whole number from 0, got {value!r}; '
                         'count from 0 upwards')
    return int(value)


def _checked_size(size_hw) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in size_hw)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < SMALLEST_PIXELS:
        raise ValueError(f'size_hw must be (height, width) of at least {SMALLEST_PIXELS} pixels, '
                         f'got {size_hw!r}; pass for example (1024, 2048)')
    return height, width
