# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PNG files of any number of bits, written out byte by byte: OpenCV writes 8 and 16 only."""

from __future__ import annotations

import zlib

import numpy as np

from sparse_seg_ros.data.picture_bytes import PNG_START


def png_chunk(kind, content):
    return len(content).to_bytes(4, 'big') + kind + content + zlib.crc32(kind + content).to_bytes(
        4, 'big')


def png(ids, bits, is_palette, *extra):
    """(H, W) ids -> PNG of so many bits a pixel, grey or with a palette."""
    height, width = ids.shape
    rows = np.unpackbits(ids[:, :, None], axis=2)[:, :, 8 - bits:].reshape(height, -1)
    raw = b''.join(b'\0' + np.packbits(row).tobytes() for row in rows)
    header = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes(
        (bits, 3 if is_palette else 0, 0, 0, 0))
    palette = png_chunk(b'PLTE', bytes(range(255, 255 - 3 * 2 ** min(bits, 6), -1)))
    return PNG_START + png_chunk(b'IHDR', header) + palette * is_palette + b''.join(extra) + \
        png_chunk(b'IDAT', zlib.compress(raw)) + png_chunk(b'IEND', b'')
