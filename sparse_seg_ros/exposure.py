# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bring an image to the brightness that a network knows: a dusk drive becomes an overcast day."""

from __future__ import annotations

import math

import cv2
import numpy as np

POWERS = (0.4, 2.5)  # the most that shadows are lifted, and that glare is lowered


def match_exposure(pixels: np.ndarray, brightness: float) -> np.ndarray:
    """
    uint8 values of one image in any order -> the same in a power that brings their mean near.

    brightness: the mean wanted, between 0 and 255. The power makes it exact for an even image;
    black stays black and white stays white.
    """
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    seen = min(max(cv2.mean(rows)[0] / 255, 1e-3), 1 - 1e-3)
    power = min(max(math.log(brightness / 255) / math.log(seen), POWERS[0]), POWERS[1])
    table = np.round(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return cv2.LUT(rows, table).reshape(pixels.shape)
