# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compressed messages and chunks of a bag, unpacked within bounds.

A few kilobytes can unpack to gigabytes. Nothing here is larger than it says, nor than MOST_BYTES.
"""

from __future__ import annotations

import sys
from bz2 import BZ2Decompressor

from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_BYTES = 2 ** 30  # recorders' chunks hold some megabytes, a raw image of 4096x2160 holds 27
UNPACKERS = {'bz2': BZ2Decompressor, 'lz4': LZ4FrameDecompressor, 'zstd': zstd.ZstdDecompressor}


def unpack(compression: str, raw: bytes, size: int = MOST_BYTES, is_strict: bool = True) -> bytes:
    """
    Name of a compression, bytes -> what they hold, of all frames one behind the other.

    size: the most that they may hold. Raises ValueError for more and for unknown names, EOFError
    for bytes that were cut short, and what the compressions raise for damage. is_strict: False
    takes the first frame as far as it can be read, and ends one byte beyond size.
    """
    if compression in ('', 'none'):
        return raw
    if compression not in UNPACKERS:
        raise ValueError(f'compression {compression!r} is not known')
    if size > MOST_BYTES:
        raise ValueError(f'it would unpack to {size >> 20} MiB, and {MOST_BYTES >> 20} are the '
                         'most; record it in smaller chunks')
    parts, left = [], size
    while raw:
        unpacker = UNPACKERS[compression]()
        parts.append(unpacker.decompress(raw, max_length=left + 1))
        if not is_strict:
            break
        left -= len(parts[-1])
        if left < 0:
            raise ValueError(f'it unpacks to more than {size} bytes; record it again')
        if not unpacker.eof:
            raise EOFError('it was cut short')
        raw = unpacker.unused_data or b''
    return b''.join(parts)
