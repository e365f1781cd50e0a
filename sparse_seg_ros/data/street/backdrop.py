# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What lies behind and below everything: sky, skyline, road, pavements, markings and shadows."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sparse_seg_ros.data.street import textures
from sparse_seg_ros.data.street.canvas import NEAR_METRES, Canvas

SKY, BUILDING, ROAD, PAVEMENT, TREE = 0, 1, 3, 4, 5
FARTHEST_METRES = 320.0


@dataclass(frozen=True)
class Surface:
    """The road's cross-section and colours; lengths in metres."""

    half_road: float
    pavement: float
    asphalt: tuple
    kerb: tuple
    paving: tuple
    yard: tuple
    lane_edge: float  # x of the line between lane and parking
    crossing_every: float
    seed: int


def paint_sky(canvas: Canvas, seed: int) -> None:
    """A gradient with clouds, a little below the horizon too."""
    height, width = canvas.view.size_hw
    rows = min(height, int(canvas.view.centre[1]) + 2)
    weather = canvas.weather
    blend = np.linspace(0, 1, max(rows, 2))[:rows, None] ** 1.4
    colours = weather.sky_top * (1 - blend) + weather.sky_bottom * blend
    canvas.pixels[:rows, :, :3] = np.uint8(colours)[:, None]
    clouds = np.roll(textures.noise(512, 4, 5, 51), (seed * 37 % 512, seed * 91 % 512), (0, 1))
    cover = np.clip((clouds[:256] + weather.clouds * 2 - 0.9) * 0.6, 0, 1)
    cover = np.uint8(255 * cover * weather.clouds ** 0.3)
    turn = canvas.view.bend.slope(canvas.view.z) * canvas.view.focal
    shift = np.float32([[width * 1.2 / 512, 0, -width * 0.1 - turn], [0, rows / 256, 0]])
    cover = cv2.warpAffine(cover, shift, (width, rows), borderMode=cv2.BORDER_REPLICATE)
    white = np.clip(weather.sky_bottom * 1.12, 0, 255)
    veil = np.empty((rows, width, 4), np.uint8)
    veil[:] = (*white, SKY)
    weight = cv2.merge([cover] * 4)
    part = canvas.pixels[:rows]
    gain = cv2.multiply(part, cv2.bitwise_not(weight), scale=1 / 255)
    canvas.pixels[:rows] = cv2.add(gain, cv2.multiply(veil, weight, scale=1 / 255))


def paint_skyline(canvas: Canvas, seed: int) -> None:
    """Distant roofs and tree tops at the end of the street."""
    random = np.random.default_rng([seed, 77])
    focal, weather = canvas.view.focal, canvas.weather
    column, horizon = canvas.view.centre
    column -= canvas.view.bend.slope(canvas.view.z) * focal
    bottom = int(horizon + focal * canvas.view.height / FARTHEST_METRES) + 1
    angle = -1.2
    while angle < 1.2:
        wide, tall = random.uniform(0.015, 0.06), random.uniform(0.008, 0.05)
        is_tree = random.random() < 0.45
        tone = random.uniform(60, 150)
        colour = (tone * 0.75, tone * 0.85, tone * 0.6) if is_tree else (tone, tone, tone * 1.02)
        haze = min(0.8, weather.haze_at(260.0))
        paint = (*np.minimum(colour * weather.light, 255) * (1 - haze) + weather.haze * haze,
                 TREE if is_tree else BUILDING)
        left, right = column + focal * angle, column + focal * (angle + wide)
        if is_tree:
            canvas.box(left, horizon - focal * tall * 0.35, right, bottom, paint)
            for centre in np.linspace(left, right, 4):
                canvas.disc((centre, horizon - focal * tall * 0.35), focal * wide * 0.25, paint)
        else:
            canvas.box(left, horizon - focal * tall, right, bottom, paint)
        angle += wide * 0.8


def paint_ground(canvas: Canvas, surface: Surface, things: list) -> None:
    """Road, kerbs, pavements, lane markings and the shadows of `things`."""
    view, weather = canvas.view, canvas.weather
    height, width = view.size_hw
    first = int(np.ceil(view.centre[1] + view.focal * view.height / FARTHEST_METRES))
    first = max(first, 0)
    depth = view.focal * view.height / (np.arange(first, height) + 0.5 - view.centre[1])
    across = _lateral(canvas, depth)
    distance = np.abs(across)
    region = (distance > surface.half_road).view(np.uint8)
    region += distance > surface.half_road + 0.18
    region += distance > surface.half_road + surface.pavement
    region += np.uint8(4) * (np.abs(distance - surface.half_road + 0.14) < 0.14).view(np.uint8)
    ground = canvas.pixels[first:]
    ground[:] = _palette(canvas, surface).view(np.uint32)[region, 0].view(np.uint8).reshape(
        ground.shape)
    _paint_markings(canvas, surface)
    gain = _texture(canvas, across, depth, region)
    gain = cv2.multiply(gain, _shadows(canvas, things, first), scale=1 / 255)
    gain = cv2.merge([gain, gain, gain, np.full_like(gain, 128)])
    cv2.multiply(ground, gain, dst=ground, scale=1 / 128)
    far = int(np.searchsorted(-weather.haze_at(depth), -0.03))
    haze = weather.haze_at(depth[:far, None, None])
    seen = ground[:far, :, :3]
    ground[:far, :, :3] = seen * np.float32(1 - haze) + np.float32(weather.haze * haze)


def _lateral(canvas: Canvas, depth: np.ndarray) -> np.ndarray:
    """(R,) depths of rows -> (R, W) float32 metres from the road's middle."""
    view = canvas.view
    columns = np.arange(view.size_hw[1], dtype=np.float32) + np.float32(0.5 - view.centre[0])
    middle = view.sideways(view.z + depth)
    return np.float32(depth / view.focal)[:, None] * columns - np.float32(middle)[:, None]


def _palette(canvas: Canvas, surface: Surface) -> np.ndarray:
    gutter = tuple(value * 0.72 for value in surface.asphalt)
    rows = [(surface.asphalt, ROAD), (surface.kerb, PAVEMENT), (surface.paving, PAVEMENT),
            (surface.yard, PAVEMENT), (gutter, ROAD)]
    light = canvas.weather.light
    lit = [(*np.clip(colour * light, 0, 255), label) for colour, label in rows]
    return np.uint8(lit + [lit[1]] * 3)


def _texture(canvas: Canvas, across, depth, region) -> np.ndarray:
    tile = textures.ground()
    detail = np.float32(40.0)
    start = canvas.view.z % 25.6
    rows = np.broadcast_to(np.float32((depth + start) * detail)[:, None], across.shape)
    sampled = cv2.remap(tile, across * detail + np.float32(12000), np.ascontiguousarray(rows),
                        cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    asphalt, paving = cv2.split(sampled)
    is_road = cv2.compare(region & 3, 0, cv2.CMP_EQ)
    cv2.copyTo(asphalt, is_road, paving)
    fade = np.float32(np.clip(1.15 - depth / 60, 0.12, 1))[:, None]
    return np.uint8((paving.astype(np.float32) - 128) * fade + 128)


def _ground_quad(canvas: Canvas, x: tuple, z: tuple) -> np.ndarray | None:
    near = canvas.view.z + NEAR_METRES
    if z[1] <= near:
        return None
    z0 = max(z[0], near)
    return canvas.view.project(np.array([(x[0], 0, z0), (x[1], 0, z0), (x[1], 0, z[1]),
                                         (x[0], 0, z[1])]))


def _paint_markings(canvas: Canvas, surface: Surface) -> None:
    start = canvas.view.z
    white = canvas.paint((225, 225, 218), start, ROAD, 0.95)
    pieces = [((-0.07, 0.07), (z, z + 3.0)) for z in np.arange(start // 9 * 9, start + 140, 9)]
    for side in (-1, 1):
        x = side * surface.lane_edge
        pieces += [((x - 0.06, x + 0.06), (z, z + 6.0))
                   for z in np.arange(start // 6 * 6, start + 130, 6)]
        edge = side * surface.half_road
        if abs(edge - x) < 1.2:  # no room to park
            continue
        pieces += [(tuple(sorted((x, edge))), (z, z + 0.12))
                   for z in np.arange(start // 6 * 6, start + 60, 6)]
    every = surface.crossing_every
    for place in np.arange(start // every * every, start + 120, every):
        stripes = np.arange(-surface.half_road + 0.5, surface.half_road - 0.5, 1.0)
        pieces += [((x, x + 0.5), (place + 20, place + 23.5)) for x in stripes]
    for x, z in pieces:
        quad = _ground_quad(canvas, x, z)
        if quad is not None:
            canvas.polygon(quad, white)


def _shadows(canvas: Canvas, things: list, first: int) -> np.ndarray:
    """The light left on the ground, (R, W) uint8, 255 where the sun reaches it."""
    height, width = canvas.view.size_hw
    light = np.full((height - first, width), 255, np.uint8)
    level = int(255 * (1 - canvas.weather.shadow))
    sun = np.array(canvas.weather.sun_per_metre)
    near = canvas.view.z + NEAR_METRES
    cast = np.array([thing.shadow() for thing in things])
    cast = cast[(cast[:, 1] + cast[:, 3] > near - 12) & (cast[:, 1] < near + 90)]
    x, z, half, length, tall = cast.T
    base = np.stack([np.stack([x - half, z]), np.stack([x + half, z]),
                     np.stack([x + half, z + length]), np.stack([x - half, z + length])])
    corners = np.concatenate([base, base + sun[:, None] * tall])  # (8, 2, things)
    corners = corners.transpose(2, 0, 1).reshape(-1, 2)
    corners[:, 1] = np.maximum(corners[:, 1], near)
    points = canvas.view.project(np.insert(corners, 1, 0.0, axis=1)) - (0, first)
    for outline in np.int32(np.rint(points * 16)).reshape(-1, 8, 2):
        cv2.fillConvexPoly(light, cv2.convexHull(outline), level, cv2.LINE_8, 4)
    return cv2.blur(light, (max(1, width // 300), max(1, height // 400)))
