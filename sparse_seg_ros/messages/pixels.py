# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Image message -> (H, W, 3) uint8 RGB, without ROS.

It works on anything with the fields of sensor_msgs/Image or CompressedImage: messages of rclpy and
of rosbags. A bad message raises ValueError, which says what was expected, what came, and what to
do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sparse_seg_ros.messages import with_cv_bridge
from sparse_seg_ros.messages.compressed import check_pixels, decode, decode_labels
from sparse_seg_ros.texts import cut

# OpenCV names a Bayer pattern after its second row: ROS rggb is OpenCV BG.
BAYER = {'bayer_rggb': cv2.COLOR_BayerBG2RGB, 'bayer_bggr': cv2.COLOR_BayerRG2RGB,
         'bayer_gbrg': cv2.COLOR_BayerGR2RGB, 'bayer_grbg': cv2.COLOR_BayerGB2RGB}
COLOUR = {'rgb': (3, None), 'bgr': (3, cv2.COLOR_BGR2RGB), 'rgba': (4, cv2.COLOR_RGBA2RGB),
          'bgra': (4, cv2.COLOR_BGRA2RGB), 'mono': (1, cv2.COLOR_GRAY2RGB)}
YUV = {'uyvy': cv2.COLOR_YUV2RGB_UYVY, 'yuv422': cv2.COLOR_YUV2RGB_UYVY,
       'yuyv': cv2.COLOR_YUV2RGB_YUY2, 'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2}
SMALLEST_BAYER = 3  # pixels: OpenCV leaves anything smaller black


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie, and OpenCV's conversion to RGB, None where they are."""

    channels: int
    conversion: int | None
    depth: int = 1              # bytes per channel
    rows: float = 1             # of data per image row, all planes together
    even: tuple[bool, bool] = (False, False)  # must height, width be?


ENCODINGS = {
    **{f'{name}{8 * depth}': Encoding(channels, conversion, depth)
       for name, (channels, conversion) in COLOUR.items() for depth in (1, 2)},
    **{f'{name}{8 * depth}': Encoding(1, conversion, depth)
       for name, conversion in BAYER.items() for depth in (1, 2)},
    **{name: Encoding(2, conversion, even=(False, True)) for name, conversion in YUV.items()},
    'nv12': Encoding(1, cv2.COLOR_YUV2RGB_NV12, rows=1.5, even=(True, True)),
    'nv21': Encoding(1, cv2.COLOR_YUV2RGB_NV21, rows=1.5, even=(True, True)),
    'nv24': Encoding(1, cv2.COLOR_YUV2RGB_UYVY, rows=3),
}


def to_rgb(message: Any, max_pixels: int | None = None) -> np.ndarray:
    """
    Image or CompressedImage message -> (H, W, 3) uint8 RGB, writable; a view if it can be.

    16-bit levels become 8-bit ones, full scale to full scale. max_pixels: a larger image is
    refused, before it is decoded; None: any size.
    """
    if hasattr(message, 'format'):
        return decode_compressed(message.data, message.format, max_pixels)
    check_pixels((message.height, message.width), max_pixels)
    if message.encoding not in ENCODINGS:
        converted = with_cv_bridge.convert(message)
        if converted is not None:
            return converted
    image = convert(image_rows(message), message.encoding, message.is_bigendian)
    return image if image.flags.writeable else image.copy()


def to_labels(message: Any, max_pixels: int | None = None) -> np.ndarray:
    """mono8 Image message, or one in a PNG -> (H, W) uint8 label ids."""
    if hasattr(message, 'format'):
        return decode_labels(message.data, message.format, max_pixels)
    if message.encoding not in ('mono8', '8UC1'):
        raise ValueError(f'a label image must be mono8, got {cut(repr(message.encoding))}')
    check_pixels((message.height, message.width), max_pixels)
    return image_rows(message, 'mono8')[:, :, 0]


def image_rows(message: Any, encoding: str | None = None) -> np.ndarray:
    """Image message -> (rows, W, bytes per pixel) uint8, a view without the padding of rows."""
    encoding = encoding or message.encoding
    if encoding not in ENCODINGS:
        raise ValueError(f'image encoding {cut(repr(encoding))} is not known; publish one of '
                         f"{', '.join(ENCODINGS)}")
    layout = ENCODINGS[encoding]
    pixel_bytes = layout.channels * layout.depth
    height, width, step = message.height, message.width, message.step
    check_size(height, width, encoding)
    if step < width * pixel_bytes:
        raise ValueError(f'step of a {width} pixels wide {encoding} image must be at least '
                         f'{width * pixel_bytes} bytes, got {step}; correct the camera driver')
    rows = int(height * layout.rows)
    data = np.frombuffer(message.data, np.uint8)
    if len(data) < rows * step:
        raise ValueError(f'a {width}x{height} {encoding} image with step {step} must have '
                         f'{rows * step} bytes, got {len(data)}; the message was cut short')
    padded = data[:rows * step].reshape(rows, step)
    return padded[:, :width * pixel_bytes].reshape(rows, width, pixel_bytes)


def check_size(height: int, width: int, encoding: str) -> None:
    """Raise ValueError unless an image of this encoding can have this size."""
    if height < 1 or width < 1:
        raise ValueError(f'an image must have pixels, got width {width} and height {height}; '
                         'check the camera driver')
    if any(must and side % 2 for must, side in zip(ENCODINGS[encoding].even, (height, width))):
        raise ValueError(f'a {encoding} image must have even size, got {width}x{height}')
    if encoding.startswith('bayer') and min(height, width) < SMALLEST_BAYER:
        raise ValueError(f'a {encoding} image must have at least {SMALLEST_BAYER} rows and '
                         f'columns, got {width}x{height}; fewer show no colour')


def convert(rows: np.ndarray, encoding: str, is_bigendian: bool = False) -> np.ndarray:
    """(rows, W, bytes per pixel) uint8 in an encoding -> (H, W, 3) uint8 RGB."""
    layout = ENCODINGS[encoding]
    if layout.depth == 2:
        rows = to_levels(rows, is_bigendian)
    if encoding == 'nv24':
        return from_nv24(rows)
    if rows.shape[2] == 1:
        rows = rows[:, :, 0]
    if layout.conversion is None:
        return rows
    return cv2.cvtColor(np.ascontiguousarray(rows), layout.conversion)


def to_levels(rows: np.ndarray, is_bigendian: bool) -> np.ndarray:
    """(H, W, 2 C) bytes -> (H, W, C) uint8, full scale 65535 -> 255 as in cv_bridge."""
    levels = np.ascontiguousarray(rows).view('>u2' if is_bigendian else '<u2')
    return cv2.convertScaleAbs(levels.astype(np.uint16), alpha=255 / 65535).reshape(levels.shape)


def from_nv24(rows: np.ndarray) -> np.ndarray:
    """(3 H, W, 1) uint8, luma and then a chroma pair for every pixel -> (H, W, 3) RGB."""
    luma, chroma = rows[:len(rows) // 3, :, 0], rows[len(rows) // 3:]
    chroma = chroma.reshape(*luma.shape, 2)
    twice = np.stack([chroma[..., 0], luma, chroma[..., 1], luma], -1)  # every pixel doubled
    wide = twice.reshape(len(luma), -1, 2)  # (H, 2 W, 2) uyvy
    return np.ascontiguousarray(cv2.cvtColor(wide, cv2.COLOR_YUV2RGB_UYVY)[:, ::2])


def decode_compressed(data: Any, name: str, max_pixels: int | None) -> np.ndarray:
    """
    Bytes of a JPEG, PNG or WebP -> (H, W, 3) uint8 RGB.

    A format that begins with a Bayer encoding says that a grey image is its mosaic.
    """
    encoding = name.partition(';')[0].strip()
    is_mosaic = encoding.startswith('bayer') and encoding in ENCODINGS
    image = decode(data, name, max_pixels,
                   cv2.IMREAD_UNCHANGED if is_mosaic else cv2.IMREAD_COLOR)
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255 / 65535)
    if not is_mosaic or image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    height, width = image.shape
    check_size(height, width, encoding)
    return cv2.cvtColor(image, BAYER[encoding.rstrip('0123456789')])
