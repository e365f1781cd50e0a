# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lorries: painted as cars alone, in their true size, and not at all behind the camera."""
from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.data.street.canvas import Bend, Canvas, View
from sparse_seg_ros.data.street.lorries import HALF_WIDTH, LOADS, Lorry
from sparse_seg_ros.data.street.weather import draw_weather

SIZE, FOCAL = (240, 320), 200.0
CAR, NOTHING = 8, 255


def label(lorry: Lorry) -> np.ndarray:
    """Paint a lorry alone -> (H, W) classes; the camera looks along z from 1.5 m above x = 0."""
    view = View(SIZE, FOCAL, (160.0, 120.0), 1.5, 0.0, 0.0, Bend(0.0, 60.0, 0.0))
    canvas = Canvas(view, draw_weather(np.random.default_rng(0)))
    canvas.pixels[..., 3] = NOTHING
    lorry.paint(canvas)
    return canvas.pixels[..., 3]


def lorry(load: str, x: float, z: float, is_oncoming: bool = False) -> Lorry:
    return Lorry(x, z, 9.0, 3.6, load, (180, 40, 40), is_oncoming, variant=3)


@pytest.mark.parametrize('is_oncoming', [False, True])
@pytest.mark.parametrize('load', LOADS)
def test_a_lorry_is_a_car_as_wide_and_high_as_it_is(load, is_oncoming):
    painted = label(lorry(load, 0.0, 12.0, is_oncoming))
    assert set(np.unique(painted)) == {CAR, NOTHING}
    rows, columns = np.nonzero(painted == CAR)
    scale = FOCAL / 12.0
    assert np.ptp(columns) == pytest.approx(2 * HALF_WIDTH * scale, abs=3)
    load_metres = 12.0 + 2.2 * is_oncoming  # seen over the cab, or first
    assert rows.min() == pytest.approx(120 + FOCAL / load_metres * (1.5 - 3.6), abs=2)
    assert rows.max() == pytest.approx(120 + scale * 1.5, abs=3)  # its wheels, on the road


@pytest.mark.parametrize('load', LOADS)
def test_beside_the_camera_its_side_is_seen_and_behind_the_camera_nothing(load):
    beside = label(lorry(load, -3.0, 5.0)) == CAR
    assert beside[:, :150].any() and not beside[:, 160:].any()
    assert (label(lorry(load, -3.0, -9.0)) == NOTHING).all()
