# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Picture files, read like a camera's messages: whole or not at all, in the grid of the sensor.

OpenCV fills the lost part of a broken JPEG with grey, turns photos by their EXIF tag, and spreads
the ids of small PNGs over 0 to 255. None of that may happen to labelled frames.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sparse_seg_ros.data.picture_bytes import JPEG_START, as_grey, read_header
from sparse_seg_ros.files import refuse_pointer


def read_image(path: Path, is_upright: bool = False) -> np.ndarray:
    """
    Picture file -> (H, W, 3) uint8 RGB.

    Without is_upright it is in the grid of the sensor, where labels are drawn: no EXIF tag turns
    it. With it, the tag does.
    """
    flags = cv2.IMREAD_COLOR | (0 if is_upright else cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(decode(read_bytes(path), flags, path), cv2.COLOR_BGR2RGB)


def read_label(path: Path) -> np.ndarray:
    """PNG of class ids, grey or with a palette, -> (H, W) uint8 ids."""
    label = read_ids(path)
    if label.dtype == np.uint16:
        if label.max() > 255:
            raise ValueError(f'{path}: label ids must be below 256, got {label.max()}; name such '
                             "ids under 'files' of the label set")
        label = label.astype(np.uint8)
    return label


def read_ids(path: Path) -> np.ndarray:
    """PNG of ids, grey of 1 to 16 bits or with a palette, -> (H, W) uint8 or uint16 ids."""
    data, step = as_grey(read_lossless(path))
    label = decode(data, cv2.IMREAD_UNCHANGED, path)
    if label.ndim != 2 or label.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'{path}: a label must be a one-channel PNG of class ids, grey or with a '
                         f'palette, got {label.shape} {label.dtype}; turn its colours into ids, '
                         "or name them under 'files' of the label set")
    return label // step


def read_colors(path: Path) -> np.ndarray:
    """PNG of class colours, or with a palette of them, -> (H, W, 3) uint8 RGB."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    colors = cv2.cvtColor(decode(read_lossless(path), flags, path), cv2.COLOR_BGR2RGB)
    if colors.dtype != np.uint8:
        raise ValueError(f'{path}: class colours must have 8 bits a channel, got {colors.dtype}; '
                         'save the label with 8 bits')
    return colors


def read_lossless(path: Path) -> bytes:
    """Picture file of a label -> its bytes; ValueError for a JPEG."""
    data = read_bytes(path)
    if data.startswith(JPEG_START):
        raise ValueError(f'{path}: JPEG changes label ids; save the label as PNG')
    return data


def read_bytes(path: Path) -> bytes:
    """Picture file -> its bytes, which are there to the end."""
    if not path.is_file():
        raise FileNotFoundError(f'no picture {path}')
    refuse_pointer(path)
    data = path.read_bytes()
    header = read_header(data)
    if header is not None and header.end is None:
        raise ValueError(f'{path}: the picture breaks off after {len(data)} bytes; copy it again')
    return data


def decode(data: bytes, flags: int, path: Path) -> np.ndarray:
    """Bytes of a picture -> what OpenCV reads; never None."""
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise ValueError(f'{path}: not a readable picture ({error.err})') from None
    if picture is None:
        raise ValueError(f'{path}: not a readable picture; is the file complete?')
    return picture


def is_turned(path: Path, size_hw: tuple[int, int]) -> bool:
    """Tell whether a picture has this size once it is turned as its EXIF tag says."""
    return decode(read_bytes(path), cv2.IMREAD_COLOR, path).shape[:2] == size_hw
