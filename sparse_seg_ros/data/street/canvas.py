# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A camera and what it sees: four channels, red, green, blue and class, always painted together.

Because one call writes colour and class, a label can never disagree with the painted shape.
World axes in metres: x to the right of the road's middle, y up, z along the road.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sparse_seg_ros.data.street.textures import Texture
from sparse_seg_ros.data.street.weather import Weather

NEAR_METRES = 1.2
_FAR_PIXELS = 20000.0


@dataclass(frozen=True)
class Bend:
    """How the road swings sideways: metres of x as a sine of z."""

    swing: float
    length: float
    phase: float

    def __call__(self, z):
        return self.swing * np.sin(z / self.length + self.phase)

    def slope(self, z: float) -> float:
        """Metres of x per metre of z."""
        return self.swing / self.length * math.cos(z / self.length + self.phase)


@dataclass(frozen=True)
class View:
    """A pinhole camera above the road at one moment."""

    size_hw: tuple[int, int]
    focal: float
    centre: tuple[float, float]  # column of straight ahead, row of the horizon
    height: float
    x: float
    z: float
    bend: Bend

    def sideways(self, z):
        """World z -> metres from the optical axis to the road's middle."""
        ahead = z - self.z
        return (self.bend(z) - self.bend(self.z) - self.x - self.bend.slope(self.z) * ahead)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) world metres -> (N, 2) pixels (column, row); nearer than NEAR is held at NEAR."""
        depth = np.maximum(points[:, 2] - self.z, NEAR_METRES)
        lateral = points[:, 0] + self.sideways(self.z + depth)
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = self.centre[0] + self.focal * lateral / depth
        pixels[:, 1] = self.centre[1] + self.focal * (self.height - points[:, 1]) / depth
        return np.clip(pixels, -_FAR_PIXELS, _FAR_PIXELS)

    def place(self, x: float, z: float) -> tuple[float, float, float]:
        """A spot on the ground -> (column, row, pixels per metre)."""
        scale = self.focal / max(z - self.z, NEAR_METRES)
        column = self.centre[0] + scale * (x + float(self.sideways(z)))
        return column, self.centre[1] + scale * self.height, scale


class Canvas:
    """Paints far things first; everything it paints carries its class in channel 3."""

    def __init__(self, view: View, weather: Weather):
        self.view = view
        self.weather = weather
        self.pixels = np.zeros((*view.size_hw, 4), np.uint8)
        self._light = weather.light.tolist()
        self._haze = weather.haze.tolist()

    def paint(self, colour, z: float, label: int, shade: float = 1.0) -> tuple:
        """Surface colour (RGB 0..255), lit and hazed at world z -> (red, green, blue, class)."""
        haze = 1.0 - math.exp(-max(z - self.view.z, 0.0) / self.weather.haze_distance_metres)
        return (*(min(255.0, surface * light * shade) * (1 - haze) + air * haze
                  for surface, light, air in zip(colour, self._light, self._haze)), label)

    def polygon(self, points: np.ndarray, paint: tuple) -> None:
        """(N, 2) pixels filled with one paint."""
        corners = np.int32(np.rint(points * 16))
        cv2.fillPoly(self.pixels, [corners], paint, lineType=cv2.LINE_8, shift=4)

    def limb(self, start, end, width: float, paint: tuple) -> None:
        """A thick line between two pixels, at least one pixel wide."""
        cv2.line(self.pixels, (round(start[0]), round(start[1])), (round(end[0]), round(end[1])),
                 paint, max(1, round(width)), cv2.LINE_8)

    def box(self, left: float, top: float, right: float, bottom: float, paint: tuple) -> None:
        """An upright rectangle, at least one pixel wide and high."""
        cv2.rectangle(self.pixels, (round(left), round(top)), (round(right), round(bottom)),
                      paint, -1)

    def disc(self, centre, radius: float, paint: tuple) -> None:
        """A filled circle, at least one pixel."""
        cv2.circle(self.pixels, (round(centre[0]), round(centre[1])), max(0, round(radius)),
                   paint, -1, cv2.LINE_8)

    def wall(self, texture: Texture, ends, rise, label: int, colour=(255, 255, 255)) -> None:
        """
        A textured upright wall.

        `ends` is ((x, z), (x, z)) of its left and right edge in the texture, `rise` its bottom
        and top in metres, and `colour` multiplies the texture (255 leaves it as it is).
        """
        clipped = _clip_ends(ends, self.view.z + NEAR_METRES)
        if clipped is None:
            return
        (x0, z0), (x1, z1), (u0, u1) = clipped
        corners = self.view.project(np.array([
            (x0, rise[1], z0), (x1, rise[1], z1), (x1, rise[0], z1), (x0, rise[0], z0)]))
        left, top = np.floor(corners.min(0)).astype(int)
        right, bottom = np.ceil(corners.max(0)).astype(int) + 1
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.view.size_hw[1]), min(bottom, self.view.size_hw[0])
        if right <= left or bottom <= top:
            return
        source, mask = texture.at_height(np.ptp(corners[:, 1]))
        rows, columns = source.shape[:2]
        edges = np.float32([(u0 * columns, 0), (u1 * columns, 0),
                            (u1 * columns, rows), (u0 * columns, rows)])
        local = corners - (left, top)
        matrix = cv2.getPerspectiveTransform(edges, np.float32(local))
        size = (right - left, bottom - top)
        shape = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillPoly(shape, [np.int32(np.rint(local * 16))], 255, cv2.LINE_8, 4)
        if mask is not None:
            holes = cv2.warpPerspective(mask, matrix, size, flags=cv2.INTER_NEAREST,
                                        borderMode=cv2.BORDER_REPLICATE)
            shape = cv2.bitwise_and(shape, holes)
        source = self._lit(source, colour, min(z0, z1) * 0.6 + max(z0, z1) * 0.4)
        patch = cv2.warpPerspective(source, matrix, size, flags=cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_REPLICATE)
        patch[..., 3] = label
        cv2.copyTo(patch, shape, self.pixels[top:bottom, left:right])

    def _lit(self, source: np.ndarray, colour, z: float) -> np.ndarray:
        haze = 1.0 - math.exp(-max(z - self.view.z, 0.0) / self.weather.haze_distance_metres)
        table = np.arange(256.0)[:, None] * (np.array(colour) / 255 * self.weather.light)
        table = np.minimum(table, 255) * (1 - haze) + self.weather.haze * haze
        table = np.column_stack([table, np.arange(256)])
        return cv2.LUT(source, np.uint8(np.rint(table))[None])


def _clip_ends(ends, near: float):
    (x0, z0), (x1, z1) = ends
    if max(z0, z1) <= near:
        return None
    u0, u1 = 0.0, 1.0
    if z0 < near:
        u0 = (near - z0) / (z1 - z0)
        x0, z0 = x0 + u0 * (x1 - x0), near
    elif z1 < near:
        u1 = (near - z0) / (z1 - z0)
        x1, z1 = x0 + u1 * (x1 - x0), near
    return (x0, z0), (x1, z1), (u0, u1)
