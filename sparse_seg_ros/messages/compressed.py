# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Bytes of a JPEG, PNG or WebP -> array, without ROS.

An image that is too large, or lacks its end, is refused before it is decoded. A JPEG that is
damaged in the middle is not: OpenCV writes libjpeg's warning to the standard error only.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sparse_seg_ros.data.picture_bytes import JPEG_START, as_grey, read_header
from sparse_seg_ros.texts import cut

MOST_SCANS = 32  # of a progressive JPEG: encoders write about ten


def check_pixels(size_hw: tuple[int, int], max_pixels: int | None) -> None:
    """Raise ValueError for an image with more pixels than are allowed."""
    height, width = size_hw
    if max_pixels is not None and height * width > max_pixels:
        raise ValueError(f'an image of {width}x{height} has more than {max_pixels} pixels; raise '
                         'max_pixels if the camera is that large')


def decode(data: Any, name: str, max_pixels: int | None, flags: int) -> np.ndarray:
    """
    Bytes of a JPEG, PNG or WebP -> (H, W), or (H, W, 3) in the order of OpenCV, BGR.

    name: the message's format, for errors. flags: of cv2.imdecode.
    """
    data, source = bytes(data), f'compressed image ({cut(repr(name))})'
    if not data:
        raise ValueError(f'{source} is empty; check the camera driver')
    header = read_header(data)
    if header is None:
        raise ValueError(f'{source} is no JPEG, PNG or WebP; publish one of them')
    check_pixels(header.size_hw, max_pixels)
    if header.scans > MOST_SCANS:  # each takes as long as the whole picture
        raise ValueError(f'{source} has more than {MOST_SCANS} scans: {header.scans}; publish '
                         'plain JPEG')
    if header.end is None:  # OpenCV would make the missing part of a JPEG grey
        raise ValueError(f'{source} is truncated: {len(data)} bytes without an end marker; check '
                         'the link or the size limit of the driver')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8, header.end),
                             flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f'{source} is damaged: {error.err}') from None
    if image is None:
        raise ValueError(f'{source} is damaged; check the link')
    return image


def decode_labels(data: Any, name: str, max_pixels: int | None) -> np.ndarray:
    """Bytes of a PNG, grey or with a palette, -> (H, W) uint8 label ids."""
    grey, step = as_grey(bytes(data))
    labels = decode(grey, name, max_pixels, cv2.IMREAD_UNCHANGED)
    if bytes(data[:2]) == JPEG_START or labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f'compressed labels must be 8-bit PNG, grey or with a palette, got '
                         f'{cut(repr(name))}; JPEG changes label ids')
    return labels // step
