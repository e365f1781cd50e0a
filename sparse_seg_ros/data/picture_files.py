# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Picture files, read as a camera's messages are: whole or not at all, in the grid of the sensor.

OpenCV fills the lost part of a broken JPEG with grey, turns photos by their EXIF tag, and spreads
the ids of small PNGs over 0 to 255. None of that may happen to labelled frames.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import cv2
import numpy as np

from sparse_seg_ros.files import refuse_pointer

JPEG_START, PNG_START = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
NEXT_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')  # after the data of a scan
SCAN, END = 0xDA, 0xD9
GREY, PALETTE = 0, 3  # colour types of PNG
PNG_STEPS = {1: 255, 2: 85, 4: 17, 8: 1, 16: 1}  # bits of a pixel -> what OpenCV makes of id 1


def read_image(path: Path) -> np.ndarray:
    """Picture file -> (H, W, 3) uint8 RGB, in the grid of the sensor: no EXIF tag turns it."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(decode(read_bytes(path), flags, path), cv2.COLOR_BGR2RGB)


def read_label(path: Path) -> np.ndarray:
    """PNG of class ids, grey or with a palette, -> (H, W) uint8 ids."""
    data = read_bytes(path)
    if data.startswith(JPEG_START):
        raise ValueError(f'{path}: JPEG changes label ids; save the label as PNG')
    step = 1
    if data.startswith(PNG_START):
        data, step = as_grey(data)
    label = decode(data, cv2.IMREAD_UNCHANGED, path)
    if label.dtype == np.uint16 and label.ndim == 2 and label.max() < 256:
        label = label.astype(np.uint8)
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f'{path}: a label must be a one-channel PNG of class ids below 256, grey '
                         f'or with a palette, got {label.shape} {label.dtype}; turn its colours '
                         'into ids')
    return label // step


def read_bytes(path: Path) -> bytes:
    """Picture file -> its bytes, which are there to the end."""
    if not path.is_file():
        raise FileNotFoundError(f'no picture {path}')
    refuse_pointer(path)
    data = path.read_bytes()
    if data.startswith(JPEG_START) and not ends_jpeg(data) or \
            data.startswith(PNG_START) and not any(part[4:8] == b'IEND' for part in chunks(data)):
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


def ends_jpeg(data: bytes) -> bool:
    """Tell whether a JPEG has its end marker: its own, not that of a thumbnail in it."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2:place + 4], 'big')
        if marker == SCAN:
            found = NEXT_MARKER.search(data, place)
            if found is None:
                return False
            place = found.start()
        if data[place:place + 2] == bytes((0xFF, END)):
            return True
    return False


def is_turned(path: Path, size_hw: tuple[int, int]) -> bool:
    """Tell whether a picture has this size once it is turned as its EXIF tag says."""
    return decode(read_bytes(path), cv2.IMREAD_COLOR, path).shape[:2] == size_hw


def chunks(data: bytes) -> list[bytes]:
    """PNG -> its chunks, each with length, kind, content and checksum, as far as complete."""
    found, place = [], len(PNG_START)
    while place + 12 <= len(data):
        size = 12 + int.from_bytes(data[place:place + 4], 'big')
        if place + size > len(data):
            break
        found.append(data[place:place + size])
        place += size
    return found


def as_grey(data: bytes) -> tuple[bytes, int]:
    """
    PNG with a palette or grey -> the same indices as a plain grey PNG, and what OpenCV spreads by.

    Of a picture with a palette, the ids are the indices; gamma and transparency change nothing.
    Any other PNG, or a damaged one, stays as it is.
    """
    header, *rest = chunks(data)
    if header[4:8] != b'IHDR' or len(header) != 25:
        return data, 1
    bits, color = header[16:18]
    if color not in (GREY, PALETTE) or bits not in PNG_STEPS or \
            header[-4:] != checksum(header[4:-4]):
        return data, 1
    grey = header[4:17] + bytes((GREY,)) + header[18:-4]
    kept = [part for part in rest if part[4:8] in (b'IDAT', b'IEND')]
    return PNG_START + header[:4] + grey + checksum(grey) + b''.join(kept), PNG_STEPS[bits]


def checksum(part: bytes) -> bytes:
    """Kind and content of a chunk -> its CRC-32."""
    return zlib.crc32(part).to_bytes(4, 'big')
