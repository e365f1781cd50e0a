# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
MCAP files that end too early, as a power cut leaves them, made readable up to there.

https://mcap.dev/spec: magic, records of (opcode, length, content), the last of them a footer,
magic again. A footer of zeros says that there is no summary and that the data must be scanned.
"""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = b'\x89MCAP0\r\n'
RECORD = struct.Struct('<BQ')  # opcode, length of content
FOOTER, DATA_END = 0x02, 0x0F
TAIL = (RECORD.pack(DATA_END, 4) + bytes(4) + RECORD.pack(FOOTER, 20) + bytes(20) + MAGIC)
COPY_BYTES = 16 * 2 ** 20


def is_cut_short(path: Path) -> bool:
    """Tell whether an MCAP file begins as one and lacks its end."""
    with path.open('rb') as file:
        begins = file.read(len(MAGIC)) == MAGIC
        file.seek(-min(len(MAGIC), path.stat().st_size), 2)
        return begins and (file.read() != MAGIC or path.stat().st_size == len(MAGIC))


def data_size(path: Path) -> int:
    """Return the number of bytes up to the last complete record of data."""
    end, size = len(MAGIC), path.stat().st_size
    with path.open('rb') as file:
        while True:
            file.seek(end)
            head = file.read(RECORD.size)
            if len(head) < RECORD.size:
                return end
            opcode, length = RECORD.unpack(head)
            if opcode in (DATA_END, FOOTER) or end + RECORD.size + length > size:
                return end
            end += RECORD.size + length


def copy_complete(path: Path, folder: Path) -> Path:
    """Copy what is complete of an MCAP file that was cut short, and end it -> the copy."""
    copy, left = folder / path.name, data_size(path)
    with path.open('rb') as source, copy.open('wb') as target:
        while left and (block := source.read(min(left, COPY_BYTES))):
            target.write(block)
            left -= len(block)
        target.write(TAIL)
    return copy
