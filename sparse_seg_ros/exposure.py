# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Brighten an image that is darker than the training images: dusk becomes an overcast day."""

from __future__ import annotations

import math

import cv2
import numpy as np

EXPOSURES = ('as_is', 'lifted')
LEAST_POWER = 0.4  # shadows are lifted no further: below lies noise


def wanted_brightness(exposure: str, mean: tuple[float, ...]) -> float | None:
    """What images are lifted to where a model's exposure is 'lifted'; mean: of RGB, 0..255."""
    return sum(mean) / len(mean) if exposure == 'lifted' else None


def lift_exposure(pixels: np.ndarray, brightness: float) -> np.ndarray:
    """
    uint8 values of one image -> the same to a power, at most 1, that brings their mean near.

    brightness: the mean wanted, between 0 and 255; an image that has it or more is returned as it
    is. The power is exact for an even image. Black stays black, and white stays white.
    """
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    seen = max(cv2.mean(rows)[0], 1.0)
    if seen >= brightness:
        return pixels
    power = max(math.log(brightness / 255) / math.log(seen / 255), LEAST_POWER)
    table = np.round(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return cv2.LUT(rows, table).reshape(pixels.shape)
