# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Textures from noise: asphalt, paving, foliage, fences and house fronts, each at a few scales."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np


@dataclass(frozen=True)
class Texture:
    """(H, W, 4) uint8 pixels and an (H, W) uint8 mask (None: solid), at halving sizes."""

    levels: tuple
    masks: tuple

    def at_height(self, rows: float):
        """Wanted height in pixels -> the smallest (pixels, mask) that is not coarser than that."""
        chosen = 0
        while chosen + 1 < len(self.levels) and self.levels[chosen + 1].shape[0] >= rows:
            chosen += 1
        return self.levels[chosen], self.masks[chosen]


def make_texture(colours: np.ndarray, mask: np.ndarray | None = None, keep: int = 110) -> Texture:
    """(H, W, 3) uint8 and an (H, W) mask 0..255 -> Texture; `keep`: mask value that stays."""
    pixels = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA)
    levels, masks = [], []
    while True:
        levels.append(pixels)
        masks.append(None if mask is None else np.uint8(mask > keep) * np.uint8(255))
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        if min(height, width) < 4:
            return Texture(tuple(levels), tuple(masks))
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        if mask is not None:
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=32)
def noise(size: int, first: int, octaves: int, seed: int) -> np.ndarray:
    """Periodic fractal noise, (size, size) float32, mean 0 and deviation 1; do not write to it."""
    random = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = first << octave
        if cells > size:
            break
        grid = np.pad(random.standard_normal((cells, cells)).astype(np.float32), 2, mode='wrap')
        step = size // cells
        fine = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += fine[2 * step:2 * step + size, 2 * step:2 * step + size] * 0.62 ** octave
    return (total - total.mean()) / total.std()


@lru_cache(maxsize=1)
def grain() -> np.ndarray:
    """Sensor noise around 128, (1024, 1024, 3) uint8."""
    random = np.random.default_rng(5)
    coarse = random.standard_normal((1024, 1024, 1), dtype=np.float32)
    fine = random.standard_normal((1024, 1024, 3), dtype=np.float32)
    return np.uint8(np.clip(128 + 45 * coarse + 25 * fine, 0, 255))


@lru_cache(maxsize=1)
def ground() -> np.ndarray:
    """Asphalt and paving as gains around 128, periodic over 25.6 m, (1024, 1024, 2) uint8."""
    rough = noise(1024, 4, 3, 1) * 5 + noise(1024, 128, 4, 2) * 10
    streaks = cv2.blur(noise(1024, 256, 2, 3), (3, 1))
    streaks = cv2.blur(streaks, (1, 121)) * 22
    asphalt = 128 + rough + streaks
    paving = 130 + noise(1024, 4, 3, 4) * 7 + noise(1024, 128, 3, 6) * 8
    slabs = np.random.default_rng(7).normal(0, 7, (32, 32))
    paving += np.kron(slabs, np.ones((32, 32)))
    paving[::32] -= 38
    paving[:, ::32] -= 38
    return np.uint8(np.clip(np.dstack([asphalt, paving]), 0, 255))


@lru_cache(maxsize=16)
def foliage(variant: int, bushy: bool) -> Texture:
    """Grey crown with ragged edges and holes; the colour is multiplied in when it is painted."""
    size = 512
    rows, columns = np.mgrid[-1:1:size * 1j, -1:1:size * 1j].astype(np.float32)
    shift = 40 * variant
    large = np.roll(noise(512, 4, 4, 21), (shift, 3 * shift), (0, 1))
    leaves = np.roll(noise(512, 32, 4, 22), (5 * shift, shift), (0, 1))
    if bushy:
        inside = 0.72 + rows * 1.0 + 0.12 * large + 0.06 * leaves
    else:
        inside = 0.82 - np.hypot(rows * (1.0 + 0.12 * (variant % 3)), columns) + 0.16 * large
        inside += 0.085 * leaves
    mask = np.uint8(np.clip(128 + inside * 1200, 0, 255))
    mask[:2] = mask[-2:] = 0
    if not bushy:
        mask[:, :2] = mask[:, -2:] = 0
    value = 118 - 34 * rows - 14 * columns + 24 * large + 36 * leaves
    value = np.uint8(np.clip(value, 16, 255))
    return make_texture(cv2.merge([value, value, value]), mask)


@lru_cache(maxsize=32)
def fence(style: str, metres: int) -> Texture:
    """A grey fence panel: 'bars', 'boards', 'mesh' or 'rails', 64 px per metre of height."""
    height, width = 96, metres * 48
    value = np.full((height, width), 150, np.float32)
    value += np.resize(noise(512, 32, 4, 31), (height, width)) * 8
    mask = np.zeros((height, width), np.uint8)
    columns, rows = np.arange(width), np.arange(height)
    if style == 'boards':
        mask[3:] = 255
        value += np.repeat(np.random.default_rng(metres).normal(0, 12, width // 8 + 1), 8)[:width]
        value[:, columns % 8 == 0] -= 60
    elif style == 'mesh':
        lattice = ((rows[:, None] + columns) % 12 < 2) | ((rows[:, None] - columns) % 12 < 2)
        mask[lattice] = 255
        mask[:, columns % 120 < 5] = 255
        mask[:4] = 255
    elif style == 'rails':
        mask[((rows % 32) < 9)] = 255
        mask[:, columns % 72 < 8] = 255
    else:
        mask[:, columns % 10 < 3] = 255
        mask[((rows > 8) & (rows < 13)) | ((rows > 84) & (rows < 89))] = 255
        value[:, columns % 10 == 0] += 30
    mask[0] = 0 if style != 'mesh' else 255
    value = np.uint8(np.clip(value, 0, 255))
    return make_texture(cv2.merge([value, value, value]), mask, keep=60)
