# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The .bag files of ROS 1, read with whatever is left of them; messages come as those of ROS 2.

http://wiki.ros.org/Bags/Format/2.0: magic, records of (length, header, length, data). Messages lie
in chunks; an index at the end lists connections and chunks. A file without an index is scanned; if
its recorder was killed (.bag.active), the last messages lie loose behind the last chunk. rosbags
needs an index and every chunk whole.
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag1.reader import Header, RecordType, normalize

from sparse_seg_ros.bags.bag_messages import DAMAGE, BagError, full_type_name
from sparse_seg_ros.bags.ros1_types import Ros1Types, converted, ros_2_connection
from sparse_seg_ros.bags.unpacking import unpack
from sparse_seg_ros.texts import one_line

MAGIC, NAME = b'#ROSBAG V2.0\n', b'#ROSBAG'
MESSAGE, BAG, CHUNK, CHUNK_INFO, CONNECTION = (
    RecordType.MSGDATA, RecordType.BAGHEADER, RecordType.CHUNK, RecordType.CHUNK_INFO,
    RecordType.CONNECTION)
HEADER_BYTES = 2 ** 20  # one that is longer is none
WORD = struct.Struct('<I')
BEGIN = -1  # in place of a connection: a chunk begins at this time


@dataclass(frozen=True)
class Record:
    """A record in a file or chunk: its opcode, its header, and where its data lie."""

    kind: int
    header: Header
    offset: int
    length: int
    is_whole: bool = True


class Ros1File:
    """
    A file to read: its connections, by id, then its messages.

    damage lists what could not be read, notes what is left out, in words.
    """

    def __init__(self, path: Path):
        self.file, self.size = path.open('rb'), path.stat().st_size
        self.damage: list[str] = []
        self.notes: list[str] = []
        self.foreign: dict[int, tuple[str, str]] = {}
        self.topics: dict[int, tuple[str, Header]] = {}
        self.chunks: list[tuple[int, int]] = []  # earliest log time, place of the record
        self.counts: Counter[int] = Counter()
        self.loose: list[Record] = []
        if not self.read_index():
            self.damage.append('has no end')
            self.scan()
        self.make_connections(Ros1Types())
        self.message_count = sum(each.msgcount for each in self.connections.values())

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def read_index(self) -> bool:
        """Read the index at the end -> whether it is there and whole."""
        start = self.record_at(len(MAGIC), BAG)
        if start is None:
            return False
        if start.header.get('encryptor'):
            raise BagError(f'bag {self.file.name} is encrypted; decrypt it in ROS 1 with `rosbag '
                           'decrypt`')
        index = start.header.get_uint64('index_pos')
        if not index:
            return False
        try:
            for record in records(self.file, index, self.size):
                self.take(record)
        except DAMAGE:
            return False
        return (len(self.topics), len(self.chunks)) == (
            start.header.get_uint32('conn_count'), start.header.get_uint32('chunk_count'))

    def take(self, record: Record) -> None:
        """Keep what a record of the index tells."""
        data = read_data(self.file, record)
        if record.kind == CONNECTION:
            self.take_connection(record, data)
        elif record.kind == CHUNK_INFO:
            self.chunks.append((record.header.get_time('start_time'),
                                record.header.get_uint64('chunk_pos')))
            self.counts.update(dict(struct.iter_unpack('<II', data)))

    def take_connection(self, record: Record, data: bytes) -> None:
        """Keep a topic with what its publisher told of it."""
        with suppress(*DAMAGE):
            facts = Header.read(BytesIO(WORD.pack(len(data)) + data))
            self.topics[record.header.get_uint32('conn')] = (
                normalize(record.header.get_string('topic')), facts)

    def scan(self) -> None:
        """Find connections, chunks and counts in the data, up to the last complete record."""
        for found in (self.topics, self.chunks, self.counts):
            found.clear()
        place = len(MAGIC)
        for record in records(self.file, place, self.size):
            if record.kind == CHUNK:
                self.scan_chunk(place, record)
            elif record.kind == CONNECTION:
                self.take_connection(record, read_data(self.file, record))
            elif record.kind == MESSAGE:
                self.loose.append(record)
                self.counts[record.header.get_uint32('conn')] += 1
            place = record.offset + record.length

    def scan_chunk(self, place: int, record: Record) -> None:
        """Find connections and counts in a chunk; damage is noted when its messages are read."""
        times = []
        content = self.open_chunk(record)[0]
        file = BytesIO(content)
        for inner in records(file, 0, len(content)):
            if inner.kind == CONNECTION:
                self.take_connection(inner, read_data(file, inner))
            elif inner.kind == MESSAGE:
                times.append(inner.header.get_time('time'))
                self.counts[inner.header.get_uint32('conn')] += 1
        if times:
            self.chunks.append((min(times), place))

    def open_chunk(self, record: Record) -> tuple[bytes, str]:
        """Return the records of a chunk, as far as they can be read, and what is wrong, if so."""
        try:
            size = record.header.get_uint32('size')
            content = unpack(record.header.get_string('compression'),
                             read_data(self.file, record), size, is_strict=False)
        except DAMAGE as error:
            return b'', one_line(error)
        is_short = record.is_whole and len(content) != size
        return content, f'it has {len(content)} of {size} bytes' if is_short else ''

    def make_connections(self, types: Ros1Types) -> None:
        """Make the connections of ROS 2; topics that cannot be converted are noted."""
        self.connections: dict[int, Connection] = {}
        self.convert: dict[int, Callable] = {}
        for key, (topic, facts) in self.topics.items():
            count = self.counts[key]
            try:
                name = full_type_name(facts.get_string('type'))
                made = types.conversion(name, MessageDefinition(
                    MessageDefinitionFormat.MSG, facts.get_string('message_definition')))
            except DAMAGE as error:
                self.notes.append(f'{topic} cannot be converted to ROS 2 and is left out: '
                                  f'{one_line(error)} (type '
                                  f'{facts.get("type", b"").decode(errors="replace")}, messages: '
                                  f'{count})')
                continue
            self.convert[key] = made.convert
            self.connections[key] = ros_2_connection(
                key, topic, made, facts.get('latching', b'').decode(errors='replace'), self
                )._replace(msgcount=count)

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (connection id, log time in nanoseconds, bytes in CDR) in time order."""
        streams = [self.messages_in(*chunk) for chunk in self.chunks]
        stored = heapq.merge(*streams, self.loose_messages(), key=lambda message: message[1])
        yield from converted(self.known(stored), self.connections, self.convert, self.damage)

    def known(self, messages: Iterable[tuple[int, int, bytes]]
              ) -> Iterator[tuple[int, int, bytes]]:
        """Yield the messages of connections; those of topics without description are counted."""
        unknown = 0
        for message in messages:
            if message[0] in self.connections:
                yield message
            else:
                unknown += message[0] not in (BEGIN, *self.topics)
        if unknown:
            self.damage.append(f'has {unknown} messages of topics that it does not describe')

    def messages_in(self, start_time: int, place: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield the messages of a chunk in time order; it is opened when its time has come."""
        yield BEGIN, start_time, b''
        record = self.record_at(place, CHUNK)
        content, wrong = self.open_chunk(record) if record else (b'', 'no chunk is there')
        if wrong:
            self.damage.append(f'is damaged at byte {place} ({wrong})')
        file = BytesIO(content)
        found = [read_message(file, inner) for inner in records(file, 0, len(content))
                 if inner.kind == MESSAGE]
        yield from sorted(found, key=lambda message: message[1])

    def record_at(self, place: int, kind: int) -> Record | None:
        """Return the record that begins there, if it is of this kind."""
        record = next(records(self.file, place, self.size), None)
        return record if record and record.kind == kind else None

    def loose_messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the messages that a recorder had not put into a chunk, in their order."""
        for record in self.loose:
            yield read_message(self.file, record)


def records(file: BinaryIO, place: int, end: int) -> Iterator[Record]:
    """
    Yield the records up to the first that is damaged or cut short.

    A chunk that was cut short comes, too: its beginning can be read.
    """
    while place + WORD.size <= end:
        try:
            file.seek(place)
            if WORD.unpack(file.read(WORD.size))[0] > HEADER_BYTES:
                return
            file.seek(place)
            header = Header.read(file)
            kind, length = header.get_uint8('op'), WORD.unpack(file.read(WORD.size))[0]
            if kind == MESSAGE:
                header.get_uint32('conn'), header.get_time('time')
        except DAMAGE:
            return
        offset = file.tell()
        place = offset + length
        is_whole = place <= end
        if is_whole or kind == CHUNK:
            yield Record(kind, header, offset, min(length, end - offset), is_whole)


def read_data(file: BinaryIO, record: Record) -> bytes:
    """Return the data of a record."""
    file.seek(record.offset)
    return file.read(record.length)


def read_message(file: BinaryIO, record: Record) -> tuple[int, int, bytes]:
    """Return (connection id, log time in nanoseconds, bytes in ROS 1) of a message record."""
    return (record.header.get_uint32('conn'), record.header.get_time('time'),
            read_data(file, record))
