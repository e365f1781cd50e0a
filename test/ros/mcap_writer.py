# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files as other recorders write them: https://mcap.dev/spec."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b'\x89MCAP0\r\n'


def text(value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return struct.pack('<I', len(value)) + value


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack('<BQ', opcode, len(content)) + content


@dataclass(frozen=True)
class Channel:
    """One topic, as the file tells it."""

    topic: str
    kind: str
    encoding: str = 'cdr'
    schema_encoding: str = 'ros2msg'
    definition: str = ''

    def records(self, key: int) -> bytes:
        schema = struct.pack('<H', key) + text(self.kind) + text(self.schema_encoding) \
            + text(self.definition)
        channel = struct.pack('<HH', key, key) + text(self.topic) + text(self.encoding) + text('')
        return record(3, schema) + record(4, channel)


def write_mcap(path: Path, channels: list[Channel], messages: list[tuple[int, int, bytes]], *,
               profile: str = 'ros2', is_chunked: bool = True, is_indexed: bool = True,
               has_message_index: bool = True) -> Path:
    """Write messages (number of the channel, log time, bytes), each in a chunk of its own."""
    head = b''.join(each.records(key) for key, each in enumerate(channels))
    out, index = bytearray(MAGIC + record(1, text(profile) + text('test'))), b''
    if not is_chunked:
        out += head
    for key, time, raw in messages:
        message = record(5, struct.pack('<HIQQ', key, 0, time, time) + raw)
        if not is_chunked:
            out += message
            continue
        start, body = len(out), head + message
        out += record(6, struct.pack('<QQQI', time, time, len(body), 0) + text('')
                      + struct.pack('<Q', len(body)) + body)
        end, offsets = len(out), b''
        if has_message_index:
            offsets = struct.pack('<HQ', key, end)
            out += record(7, struct.pack('<H', key) + text(struct.pack('<QQ', time, len(head))))
        index += record(8, struct.pack('<QQQQ', time, time, start, end - start) + text(offsets)
                        + struct.pack('<Q', len(out) - end) + text('')
                        + struct.pack('<QQ', len(body), len(body)))
    out += record(15, bytes(4))
    summary = len(out) if is_indexed else 0
    if is_indexed:
        chunks = len(messages) if is_chunked else 0
        counts = b''.join(struct.pack('<HQ', key, sum(each[0] == key for each in messages))
                          for key in range(len(channels)))
        out += head + index + record(11, struct.pack(
            '<QHIIIIQQ', len(messages), len(channels), len(channels), 0, 0, chunks, 0, 0)
            + text(counts))
    out += record(2, struct.pack('<QQI', summary, 0, 0)) + MAGIC
    path.write_bytes(out)
    return path
