# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the bytes of a JPEG, PNG or WebP say before they are decoded: its size, and where it ends.

A file of some kilobytes can hold gigabytes of pixels. Where a JPEG breaks off, OpenCV fills the
lost part with grey.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

JPEG_START, PNG_START = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
NEXT_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')  # after the data of a scan
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of segments with the size
FILL, SCAN, END = 0xFF, 0xDA, 0xD9
GREY, PALETTE = 0, 3  # colour types of PNG
PNG_STEPS = {1: 255, 2: 85, 4: 17, 8: 1, 16: 1}  # bits of a pixel -> what OpenCV makes of id 1


@dataclass(frozen=True)
class Header:
    """
    Size of a picture; the place behind its last byte, None where it breaks off; its scans.

    A progressive JPEG is decoded once for every scan, which may be a few bytes long.
    """

    size_hw: tuple[int, int]
    end: int | None
    scans: int = field(default=1, compare=False)


def read_header(data: bytes) -> Header | None:
    """Bytes of a picture -> Header; None where they are no JPEG, PNG or WebP."""
    if data.startswith(JPEG_START):
        return read_jpeg(data)
    if data.startswith(b'RIFF') and data[8:12] == b'WEBP':
        return read_webp(data)
    return read_png(data) if data.startswith(PNG_START) else None


def read_jpeg(data: bytes) -> Header:
    """
    Walk along the segments of a JPEG -> Header.

    The end marker of a thumbnail, inside a segment, is not the picture's, and what follows the
    picture's own (padding, a maker's trailer) is no part of it.
    """
    size_hw, place, scans = (0, 0), len(JPEG_START), 0
    while place + 2 <= len(data) and data[place] == FILL:
        marker = data[place + 1]
        if marker == END:
            return Header(size_hw, place + 2, scans)
        if marker == FILL:
            place += 1
            continue
        if marker in FRAMES and size_hw == (0, 0) and place + 9 <= len(data):
            size_hw = (int.from_bytes(data[place + 5:place + 7], 'big'),
                       int.from_bytes(data[place + 7:place + 9], 'big'))
        place += 2 + int.from_bytes(data[place + 2:place + 4], 'big')
        if marker == SCAN:
            scans += 1
            found = NEXT_MARKER.search(data, place)
            place = found.start() if found else len(data)
    return Header(size_hw, None, scans)


def read_webp(data: bytes) -> Header:
    """Read the first chunk of a WebP (lossy, lossless or extended) -> Header."""
    kind, start = data[12:16], data[20:30].ljust(10, b'\0')
    if kind == b'VP8 ':
        width, height = (int.from_bytes(start[place:place + 2], 'little') & 0x3FFF
                         for place in (6, 8))
    elif kind == b'VP8L':
        bits = int.from_bytes(start[1:5], 'little')
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (1 + int.from_bytes(start[place:place + 3], 'little') for place in (4, 7))
    end = 8 + int.from_bytes(data[4:8], 'little')
    return Header((height, width), end if end <= len(data) else None)


def read_png(data: bytes) -> Header:
    """Walk along the chunks of a PNG -> Header."""
    size_hw, place = (0, 0), len(PNG_START)
    for chunk in chunks(data):
        place += len(chunk)
        if chunk[4:8] == b'IHDR' and len(chunk) >= 16 and size_hw == (0, 0):
            size_hw = int.from_bytes(chunk[12:16], 'big'), int.from_bytes(chunk[8:12], 'big')
        if chunk[4:8] == b'IEND':
            return Header(size_hw, place)
    return Header(size_hw, None)


def chunks(data: bytes) -> Iterator[bytes]:
    """PNG -> its chunks, each with length, kind, content and checksum, as far as complete."""
    place = len(PNG_START)
    while place + 12 <= len(data):
        size = 12 + int.from_bytes(data[place:place + 4], 'big')
        if place + size > len(data):
            return
        yield data[place:place + size]
        place += size


def as_grey(data: bytes) -> tuple[bytes, int]:
    """
    PNG with a palette or grey -> the same indices as a plain grey PNG, and what OpenCV spreads by.

    Of a picture with a palette, the ids are the indices; gamma and transparency change nothing.
    Any other picture, or a damaged one, stays as it is.
    """
    parts = [*chunks(data)] if data.startswith(PNG_START) else []
    header = parts[0] if parts else b''
    if header[4:8] != b'IHDR' or len(header) != 25:
        return data, 1
    bits, color = header[16:18]
    if color not in (GREY, PALETTE) or bits not in PNG_STEPS or \
            header[-4:] != checksum(header[4:-4]):
        return data, 1
    grey = header[4:17] + bytes((GREY,)) + header[18:-4]
    kept = [part for part in parts if part[4:8] in (b'IDAT', b'IEND')]
    return PNG_START + header[:4] + grey + checksum(grey) + b''.join(kept), PNG_STEPS[bits]


def checksum(part: bytes) -> bytes:
    """Kind and content of a chunk -> its CRC-32."""
    return zlib.crc32(part).to_bytes(4, 'big')
