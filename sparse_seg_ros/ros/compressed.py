# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Bytes of a JPEG or PNG -> array, without ROS.

The header is read before anything is decoded: a file of some kilobytes can hold gigabytes of
pixels. A JPEG whose data are damaged in the middle decodes without an error where OpenCV only
writes libjpeg's warning to the standard error; one that lacks its end is refused.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from sparse_seg_ros.ros.texts import cut

JPEG_START, JPEG_END, JPEG_SCAN = b'\xff\xd8', b'\xff\xd9', 0xDA
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that carry the size
PNG_START, PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'
NAME_LENGTH = 80  # of a format or encoding that came with a message, in an error


def quoted(name: str) -> str:
    """Quote a name that came from elsewhere, cut to a length that a log can bear."""
    return repr(cut(name, NAME_LENGTH))


def check_pixels(size_hw: tuple[int, int], max_pixels: int | None) -> None:
    """Raise ValueError for an image with more pixels than are allowed."""
    height, width = size_hw
    if max_pixels is not None and height * width > max_pixels:
        raise ValueError(f'an image of {width}x{height} has more than {max_pixels} pixels; raise '
                         'max_pixels if the camera is that large')


def decode(data: Any, name: str, max_pixels: int | None, flags: int) -> np.ndarray:
    """
    Bytes of a JPEG or PNG -> (H, W), or (H, W, 3) in the order of OpenCV, BGR.

    name: the message's format, for errors. flags: of cv2.imdecode.
    """
    data = bytes(data)
    if not data:
        raise ValueError(f'compressed image ({quoted(name)}) is empty; check the camera driver')
    size_hw, end = read_header(data, name)
    check_pixels(size_hw, max_pixels)
    if end is None:  # OpenCV decodes a truncated JPEG without complaint, the missing part grey
        raise ValueError(f'compressed image ({quoted(name)}) is truncated: {len(data)} bytes '
                         'without an end marker; check the link or the size limit of the driver')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8, end),
                             flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f'compressed image ({quoted(name)}) is damaged: {error.err}') from None
    if image is None:
        raise ValueError(f'compressed image ({quoted(name)}) is damaged; check the link')
    return image


def read_header(data: bytes, name: str) -> tuple[tuple[int, int], int | None]:
    """Bytes -> (height, width), and where the image ends; None where its end is missing."""
    if data.startswith(PNG_START) and len(data) >= 24:
        width, height = struct.unpack('>II', data[16:24])
        end = data.find(PNG_END)
        return (height, width), None if end < 0 else end + len(PNG_END)
    if data.startswith(JPEG_START):
        return read_jpeg_header(data, name)
    raise ValueError(f'compressed image ({quoted(name)}) is neither JPEG nor PNG; publish one of '
                     'them')


def read_jpeg_header(data: bytes, name: str) -> tuple[tuple[int, int], int | None]:
    """
    Walk a JPEG's segments up to its first scan -> (height, width), and where the image ends.

    An end marker inside a segment, as of a thumbnail, is not the image's; one after the start of
    the scan is, and what follows it (padding, a maker's trailer) does not belong to the image.
    """
    size_hw, place = None, len(JPEG_START)
    while place + 4 <= len(data):
        marker, length = data[place + 1], int.from_bytes(data[place + 2:place + 4], 'big')
        if data[place] != 0xFF:
            raise ValueError(f'compressed image ({quoted(name)}) is damaged: no JPEG marker at '
                             f'byte {place}; check the link')
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker == JPEG_SCAN and size_hw is not None:
            end = data.find(JPEG_END, place)
            return size_hw, None if end < 0 else end + len(JPEG_END)
        if marker in JPEG_FRAMES and place + 9 <= len(data):
            size_hw = struct.unpack('>HH', data[place + 5:place + 9])
        place += 2 + length
    return size_hw or (0, 0), None


def is_png(data: Any) -> bool:
    """Tell PNG by its first bytes."""
    return bytes(data[:8]) == PNG_START
