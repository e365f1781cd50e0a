# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the health of a picture is read from: a lattice of points, and small patches at full size.

About 3 ms for an image of 1024x2048, most of it in the patches. Edges alone are looked at for
sharpness: how much of the height of an edge lies in its steepest step does not depend on contrast,
so fog, dusk and noise hardly change it, and blur does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LATTICE_HW = (64, 96)  # points, whatever the size of the image
TILE = 8  # points on a side of the tiles in which texture is looked for: 8 x 12 of them
PATCH, PATCHES_HW = 64, (4, 6)  # pixels on a side at most, and how many lie over the image
REACH = 8  # pixels over which the height of an edge is measured; blur of a few pixels shows
STEEPEST = 20  # one in so many places counts as an edge
LEAST_EDGE = 12  # grey levels; less is the noise of a sensor, whose sharpness means nothing
DARK, SATURATED = 20, 250  # grey levels: at most of a black pixel, at least of a white one


@dataclass(frozen=True)
class Look:
    """
    What one picture shows.

    lattice: (64, 96, 3) uint8. lit: fraction of the points that are not black. white: fraction
    that is white. texture: (8, 12) standard deviation of grey levels in the tiles. level: (8, 12)
    mean of them. sharpness: from about 0.15 (blurred) to 1 (sharp); None without edges.
    """

    lattice: np.ndarray
    lit: float
    white: float
    texture: np.ndarray
    level: np.ndarray
    sharpness: float | None


def look_at(image: np.ndarray) -> Look:
    """(H, W, 3) uint8 RGB -> what it shows."""
    lattice = lattice_of(image)
    tiles = tiles_of(lattice[..., 1].astype(np.float32))
    red, green, blue = lattice[..., 0], lattice[..., 1], lattice[..., 2]
    brightest = np.maximum(np.maximum(red, green), blue)  # five times as fast as lattice.max(2)
    darkest = np.minimum(np.minimum(red, green), blue)
    return Look(lattice, float((brightest > DARK).mean()), float((darkest >= SATURATED).mean()),
                tiles.std((1, 3)), tiles.mean((1, 3)), sharpness_of(image))


def tiles_of(values: np.ndarray) -> np.ndarray:
    """(64, 96) of the lattice -> (8, 8, 12, 8): mean over axes 1 and 3 for one of each tile."""
    return values.reshape(LATTICE_HW[0] // TILE, TILE, LATTICE_HW[1] // TILE, TILE)


def change_of(before: Look, look: Look) -> np.ndarray:
    """Two looks -> (8, 12) mean change of the points in each tile, in grey levels."""
    greens = (each.lattice[..., 1].astype(np.int16) for each in (before, look))
    return tiles_of(np.abs(np.subtract(*greens))).mean((1, 3))


def lattice_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (64, 96, 3), its points evenly spread."""
    rows, columns = (((np.arange(points) + 0.5) * size / points).astype(int)
                     for points, size in zip(LATTICE_HW, image.shape[:2], strict=True))
    return image[rows[:, None], columns]


def sharpness_of(image: np.ndarray) -> float | None:
    """(H, W, 3) uint8 RGB -> mean steepness of its edges along both axes; None without edges."""
    across = patches_of(image)
    along = np.ascontiguousarray(across.transpose(0, 2, 1))
    found = [each for each in map(steepness, (across, along)) if each is not None]
    return float(np.mean(found)) if found else None


def patches_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (24, h, w) uint8, the green of patches evenly spread."""
    (height, width), (rows, columns) = image.shape[:2], PATCHES_HW
    h, w = min(PATCH, height // rows), min(PATCH, width // columns)
    tops = [height * (2 * row + 1) // (2 * rows) - h // 2 for row in range(rows)]
    lefts = [width * (2 * column + 1) // (2 * columns) - w // 2 for column in range(columns)]
    return np.stack([image[top:top + h, left:left + w, 1] for top in tops for left in lefts])


def steepness(patches: np.ndarray) -> float | None:
    """(N, h, w) uint8 grey levels -> fraction of an edge in its steepest step, or None."""
    places = patches.shape[2] - REACH
    if places < 1 or not patches.shape[1]:
        return None
    rows = patches.reshape(-1, patches.shape[2])
    height = cv2.absdiff(rows[:, REACH:], rows[:, :-REACH])  # (N * h, places)
    counts = cv2.calcHist([height], [0], None, [256], [0, 256])[::-1]  # of the levels from 255
    least = 255 - int(np.searchsorted(np.cumsum(counts), height.size / STEEPEST))
    if least < LEAST_EDGE:
        return None
    steepest = cv2.absdiff(rows[:, 1:], rows[:, :-1])  # of one step, then of 2, 4 and 8
    for step in (1, 2, 4):
        steepest = cv2.max(steepest[:, step:], steepest[:, :-step])
    is_edge = (height >= least).view(np.uint8)
    return cv2.mean(steepest, is_edge)[0] / cv2.mean(height, is_edge)[0]
