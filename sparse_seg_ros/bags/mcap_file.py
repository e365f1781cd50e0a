# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
MCAP files of ROS 2, and of ROS 1, read with whatever is left of them.

https://mcap.dev/spec: magic, records of (opcode, length, content), magic. Messages lie in chunks,
or loose; an index at the end lists the chunks. A file that a power cut left, or one whose index
is damaged or absent, is scanned instead. rosbags needs an index, sorted log times and every
chunk whole: recorders that are killed, or write quickly, or late, give none of these.
"""

from __future__ import annotations

import heapq
import struct
from binascii import crc32
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)

from sparse_seg_ros.bags.bag_messages import DAMAGE, BagError, full_type_name, read_qos
from sparse_seg_ros.bags.ros1_types import Ros1Types, converted, ros_2_connection
from sparse_seg_ros.bags.unpacking import unpack
from sparse_seg_ros.texts import one_line

MAGIC = b'\x89MCAP0\r\n'
HEAD = struct.Struct('<BQ')  # opcode, length of content
FOOTER_BYTES = HEAD.size + 20 + len(MAGIC)
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX = 1, 2, 3, 4, 5, 6, 8
STATISTICS, DATA_END = 0x0B, 0x0F
FORMATS = {**dict.fromkeys(('ros1msg', 'ros2msg'), MessageDefinitionFormat.MSG),
           **dict.fromkeys(('ros2idl', 'omgidl'), MessageDefinitionFormat.IDL)}


class Fields:
    """Reads the fields of one record in their order."""

    def __init__(self, content: bytes):
        self.content, self.place = content, 0

    def numbers(self, layout: str) -> tuple:
        """Read numbers, as struct names them."""
        start, self.place = self.place, self.place + struct.calcsize('<' + layout)
        return struct.unpack_from('<' + layout, self.content, start)

    def block(self, length_layout: str = 'I') -> bytes:
        """Read bytes that come after their length."""
        length, = self.numbers(length_layout)
        start, self.place = self.place, self.place + length
        if self.place > len(self.content):
            raise ValueError(f'a field of {length} bytes is longer than its record')
        return self.content[start:self.place]

    def text(self) -> str:
        """Read a string."""
        return self.block().decode()


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies in the file, and the earliest log time in it."""

    start_time: int
    offset: int  # of its content
    length: int


class McapFile:
    """
    A file to read: its connections, by id, then its messages.

    damage lists what could not be read, in words; foreign topic and encoding of channels that are
    not of ROS 2; counts the messages of each channel.
    """

    def __init__(self, path: Path):
        self.file, self.size = path.open('rb'), path.stat().st_size
        self.damage: list[str] = []
        self.foreign: dict[int, tuple[str, str]] = {}
        self.types, self.convert = Ros1Types(), {}
        self.schemas: dict[int, tuple[str, MessageDefinition]] = {}
        self.connections: dict[int, Connection] = {}
        self.chunks: list[Chunk] = []
        self.statistics: tuple | None = None
        self.counts: Counter[int] = Counter()
        self.has_loose_messages = False
        if not self.read_index():
            self.scan()
        self.has_loose_messages |= not self.chunks
        self.connections = {key: each._replace(msgcount=self.counts[key])
                            for key, each in self.connections.items()}
        self.message_count = sum(each.msgcount for each in self.connections.values())
        if self.statistics and not self.counts and not self.foreign:
            self.message_count = self.statistics[0]

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def read_index(self) -> bool:
        """Read the index at the end -> whether it is there and whole."""
        self.file.seek(max(0, self.size - FOOTER_BYTES))
        footer = self.file.read()
        start = int.from_bytes(footer[HEAD.size:HEAD.size + 8], 'little')
        if self.size < 2 * FOOTER_BYTES or footer[-len(MAGIC):] != MAGIC:
            self.damage.append('has no end')
            return False
        try:
            if not 0 < start < self.size:
                return False
            for opcode, content in self.records(start, self.size - FOOTER_BYTES):
                self.take(opcode, content)
            if not self.statistics:
                return False
            _, schemas, channels, _, _, chunks, _, _ = self.statistics
            return (len(self.schemas), len(self.connections) + len(self.foreign),
                    len(self.chunks)) == (schemas, channels, chunks)
        except DAMAGE as error:
            self.damage.append(f'has a damaged index ({one_line(error)})')
            return False

    def scan(self) -> None:
        """Find connections, chunks and counts in the data, up to the last complete record."""
        self.statistics = None
        for found in (self.schemas, self.connections, self.foreign, self.chunks, self.counts):
            found.clear()
        place = len(MAGIC)
        for opcode, offset, length in self.walk(place, self.size):
            place = offset + length
            if opcode in (DATA_END, FOOTER):
                return
            try:
                self.scan_record(opcode, offset, length)
            except DAMAGE:  # of a chunk: noted when its messages are read
                continue
        if not self.damage:
            self.damage.append(f'is damaged at byte {place}')

    def scan_record(self, opcode: int, offset: int, length: int) -> None:
        """Find what is in a record of the data; raises one of DAMAGE."""
        if opcode == CHUNK:
            start_time, = struct.unpack('<Q', self.content(offset, 8))
            self.chunks.append(Chunk(start_time, offset, length))
            for inner, content in records(self.open_chunk(self.chunks[-1])):
                self.take(inner, content)
        elif opcode in (SCHEMA, CHANNEL, MESSAGE):
            self.has_loose_messages |= opcode == MESSAGE
            self.take(opcode, self.content(offset, 2 if opcode == MESSAGE else length))

    def walk(self, place: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (opcode, offset and length of the content) of every complete record."""
        while place + HEAD.size <= end:
            opcode, length = HEAD.unpack(self.content(place, HEAD.size))
            place += HEAD.size
            if not opcode or place + length > end:  # zeros: space that was never written to
                return
            yield opcode, place, length
            place += length

    def records(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield (opcode, content) of the records in a part of the file."""
        for opcode, offset, length in self.walk(start, end):
            yield opcode, self.content(offset, length)

    def content(self, offset: int, length: int) -> bytes:
        """Read a part of the file."""
        if offset + length > self.size:
            raise ValueError(f'{length} bytes at byte {offset} are beyond the end of the file')
        self.file.seek(offset)
        return self.file.read(length)

    def take(self, opcode: int, content: bytes) -> None:
        """Keep what one record tells."""
        fields = Fields(content)
        if opcode == SCHEMA:
            key, = fields.numbers('H')
            name, encoding, text = fields.text(), fields.text(), fields.text()
            kind = FORMATS.get(encoding, MessageDefinitionFormat.NONE)
            self.schemas[key] = (full_type_name(name), MessageDefinition(
                kind, text if encoding in FORMATS else ''))
        elif opcode == CHANNEL:
            self.take_channel(fields)
        elif opcode == MESSAGE:
            self.counts[fields.numbers('H')[0]] += 1
        elif opcode == CHUNK_INDEX:
            self.take_chunk(*fields.numbers('4Q'))
        elif opcode == STATISTICS:
            self.statistics = fields.numbers('QHIIIIQQ')
            self.counts.update(dict(struct.iter_unpack('<HQ', fields.block())))

    def take_channel(self, fields: Fields) -> None:
        """Keep a channel, if its messages are of ROS 2."""
        key, schema = fields.numbers('HH')
        if key in self.connections:  # every chunk may tell its channels again
            return
        topic, encoding, metadata = fields.text(), fields.text(), Fields(fields.block())
        facts = {}
        while metadata.place < len(metadata.content):
            name = metadata.text()
            facts[name] = metadata.text()
        if encoding == 'ros1' and schema in self.schemas:
            self.take_ros_1(key, topic, schema, facts)
        elif encoding == 'cdr' and schema in self.schemas:
            qos = read_qos(facts.get('offered_qos_profiles'))
            self.connections[key] = Connection(key, topic, *self.schemas[schema], '', 0,
                                               ConnectionExtRosbag2(encoding, qos), self)
        else:
            self.foreign[key] = topic, encoding if encoding != 'cdr' else 'no type'

    def take_ros_1(self, key: int, topic: str, schema: int, facts: dict[str, str]) -> None:
        """Keep a channel of ROS 1, whose messages are converted, if they can be."""
        try:
            made = self.types.conversion(*self.schemas[schema])
        except BagError:
            self.foreign[key] = topic, 'ros1'
            return
        self.convert[key] = made.convert
        self.connections[key] = ros_2_connection(key, topic, made, facts.get('latching'), self)

    def take_chunk(self, start_time: int, _: int, offset: int, length: int) -> None:
        """Keep where a chunk lies, if the index tells the truth."""
        length -= HEAD.size
        if self.content(offset, HEAD.size) != HEAD.pack(CHUNK, length):
            raise ValueError(f'no chunk of {length} bytes is at byte {offset}')
        self.chunks.append(Chunk(start_time, offset + HEAD.size, length))

    def open_chunk(self, chunk: Chunk) -> bytes:
        """Return the records of a chunk; raises one of DAMAGE."""
        fields = Fields(self.content(chunk.offset, chunk.length))
        _, _, size, checksum = fields.numbers('QQQI')
        compression = fields.text()
        content = unpack(compression, fields.block('Q'), size)
        if len(content) != size or checksum and crc32(content) != checksum:
            raise ValueError('its checksum or size is wrong')
        return content

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (connection id, log time in nanoseconds, bytes), those of chunks in time order."""
        yield from converted(self.stored(), self.connections, self.convert, self.damage)

    def stored(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the messages as they are stored, some in ROS 1."""
        for key, nanoseconds, raw in heapq.merge(
                *map(self.messages_in, self.chunks), key=lambda message: message[1]):
            if key in self.connections:
                yield key, nanoseconds, raw
        if self.has_loose_messages:
            yield from self.loose_messages()

    def messages_in(self, chunk: Chunk) -> Iterator[tuple[int, int, Any]]:
        """Yield the messages of a chunk in time order; it is opened when its time has come."""
        yield -1, chunk.start_time, b''
        try:
            found = [read_message(content) for opcode, content in records(self.open_chunk(chunk))
                     if opcode == MESSAGE]
        except DAMAGE as error:
            self.damage.append(f'is damaged at byte {chunk.offset} ({one_line(error)})')
            return
        yield from sorted(found, key=lambda message: message[1])

    def loose_messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the messages of a file without chunks, in its order."""
        for opcode, content in self.records(len(MAGIC), self.size):
            if opcode in (DATA_END, FOOTER):
                return
            if opcode == MESSAGE:
                message = read_message(content)
                if message[0] in self.connections:
                    yield message


def records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (opcode, content) of the records of a chunk; ValueError if one does not fit."""
    place = 0
    while place < len(content):
        opcode, length = HEAD.unpack_from(content, place)
        place += HEAD.size
        if place + length > len(content):
            raise ValueError('a record is longer than its chunk')
        yield opcode, content[place:place + length]
        place += length


def read_message(content: bytes) -> tuple[int, int, bytes]:
    """Return (connection id, log time in nanoseconds, bytes) of a message record."""
    key, _, nanoseconds, _ = struct.unpack_from('<HIQQ', content)
    return key, nanoseconds, content[22:]
