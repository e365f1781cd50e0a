# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Image message -> (H, W, 3) uint8 RGB, without ROS.

Works on anything with the fields of sensor_msgs/Image or CompressedImage: rclpy's messages and
those of rosbags alike. Whatever is wrong with a message is a ValueError that says what was
expected, what came, and what to do about it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sparse_seg_ros.ros import with_cv_bridge

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
PNG_START, PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'

# encoding -> (rows of data per image row, bytes per pixel, OpenCV conversion to RGB or None).
# OpenCV names a Bayer pattern after its second row: ROS rggb is OpenCV BG.
ENCODINGS = {
    'rgb8': (1, 3, None),
    'bgr8': (1, 3, cv2.COLOR_BGR2RGB),
    'rgba8': (1, 4, cv2.COLOR_RGBA2RGB),
    'bgra8': (1, 4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, 1, cv2.COLOR_GRAY2RGB),
    'mono16': (1, 2, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': (1, 1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, 1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, 1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, 1, cv2.COLOR_BayerGB2RGB),
    'uyvy': (1, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': (1, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': (1, 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': (1, 2, cv2.COLOR_YUV2RGB_YUY2),
    'nv12': (1.5, 1, cv2.COLOR_YUV2RGB_NV12),
    'nv21': (1.5, 1, cv2.COLOR_YUV2RGB_NV21),
}
NEEDS_EVEN_WIDTH = ('uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21')


def to_rgb(message: Any) -> np.ndarray:
    """Image or CompressedImage message -> (H, W, 3) uint8 RGB, writable; a view if it can be."""
    if hasattr(message, 'format'):
        return decode_compressed(message.data, message.format)
    if message.encoding not in ENCODINGS:
        converted = with_cv_bridge.convert(message)
        if converted is not None:
            return converted
    rows = image_rows(message)
    conversion = ENCODINGS[message.encoding][2]
    if message.encoding == 'mono16':
        rows = mono16_to_mono8(rows, message.is_bigendian)
    if rows.ndim == 3 and rows.shape[2] == 1:
        rows = rows[:, :, 0]
    if conversion is None:
        return rows if rows.flags.writeable else rows.copy()
    return cv2.cvtColor(np.ascontiguousarray(rows), conversion)


def to_labels(message: Any) -> np.ndarray:
    """mono8 Image message, or one in a PNG -> (H, W) uint8 label ids."""
    if hasattr(message, 'format'):
        data = check_complete(message.data, message.format)
        labels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if is_png(data) else None
        if labels is None or labels.ndim != 2 or labels.dtype != np.uint8:
            raise ValueError(f'compressed labels must be 8-bit grey PNG, got {message.format!r}; '
                             'JPEG changes label ids')
        return labels
    if message.encoding not in ('mono8', '8UC1'):
        raise ValueError(f'a label image must be mono8, got {message.encoding!r}')
    return image_rows(message, 'mono8')[:, :, 0]


def image_rows(message: Any, encoding: str | None = None) -> np.ndarray:
    """Image message -> (rows, W, bytes per pixel) uint8, a view without the padding of rows."""
    encoding = encoding or message.encoding
    if encoding not in ENCODINGS:
        raise ValueError(f'image encoding {encoding!r} is not known; publish one of '
                         f"{', '.join(ENCODINGS)}")
    rows_per_row, pixel_bytes, _ = ENCODINGS[encoding]
    height, width, step = message.height, message.width, message.step
    check_size(height, width, encoding)
    if step < width * pixel_bytes:
        raise ValueError(f'step of a {width} pixels wide {encoding} image must be at least '
                         f'{width * pixel_bytes} bytes, got {step}; correct the camera driver')
    rows = int(height * rows_per_row)
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
    if encoding in NEEDS_EVEN_WIDTH and width % 2 or encoding.startswith('nv') and height % 2:
        raise ValueError(f'a {encoding} image must have even size, got {width}x{height}')


def mono16_to_mono8(rows: np.ndarray, is_bigendian: bool) -> np.ndarray:
    """(H, W, 2) bytes -> (H, W) uint8, full scale 65535 -> 255 as in cv_bridge."""
    order = '>u2' if is_bigendian else '<u2'
    levels = np.ascontiguousarray(rows).view(order)[:, :, 0]
    return cv2.convertScaleAbs(levels.astype(np.uint16), alpha=255 / 65535)


def decode_compressed(data: Any, name: str) -> np.ndarray:
    """Bytes of a JPEG, PNG or other OpenCV format -> (H, W, 3) uint8 RGB."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(check_complete(data, name), flags)
    except cv2.error as error:
        raise ValueError(f'compressed image ({name!r}) is damaged: {error.err}') from None
    if image is None:
        raise ValueError(f'compressed image ({name!r}) cannot be decoded; '
                         'publish JPEG or PNG, or check the link')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_complete(data: Any, name: str) -> np.ndarray:
    """Bytes of a compressed image -> (N,) uint8; ValueError when its end is missing."""
    data = np.frombuffer(data, np.uint8)
    start, end = bytes(data[:8]), data.tobytes().rstrip(b'\0')[-64:]
    if not start:
        raise ValueError(f'compressed image ({name!r}) is empty; check the camera driver')
    # OpenCV decodes a truncated JPEG without complaint, the missing part grey.
    if start.startswith(JPEG_START) and not end.endswith(JPEG_END) or \
            is_png(data) and PNG_END not in end:
        raise ValueError(f'compressed image ({name!r}) is truncated: {len(data)} bytes without '
                         'an end marker; check the link or the size limit of the driver')
    return data


def is_png(data: np.ndarray) -> bool:
    """Tell PNG by its first bytes."""
    return bytes(data[:8]) == PNG_START
