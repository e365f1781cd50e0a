# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
rosbag2 recordings, MCAP or SQLite, read and written in pure Python (rosbags), without ROS.

Messages of types other than images are only copied, never parsed, so that a bag with exotic types
is no trouble.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
from rosbags.interfaces import Connection
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    Reader,
    ReaderError,
    StoragePlugin,
    Writer,
)
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from sparse_seg_ros.ros.mcap_tail import copy_complete, is_cut_short

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
NO_HASH = 'RIHS01_' + '0' * 64
# What rosbags raises for damaged files, beside its own error.
DAMAGE = (ReaderError, SerdeError, ZstdError, apsw.Error, OSError, EOFError, struct.error,
          ValueError, TypeError, AssertionError)

TYPES = get_typestore(Stores.ROS2_JAZZY)


class BagError(ValueError):
    """A bag that cannot be read or written, in words a user can act on."""


class BagDamageError(BagError):
    """A bag that breaks off; what came before was read."""


class Bag:
    """A recording to read: `with Bag(path) as bag: for message in bag.messages(): ...`."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f'no bag {self.path}; give a rosbag2 folder, or its .mcap '
                                    'or .db3 file')

    def __enter__(self) -> Bag:
        self.cut_short = self.find_cut_short()
        try:
            with TemporaryDirectory() as folder:  # the file stays readable while it is open
                self.reader = Reader(copy_complete(self.cut_short, Path(folder))
                                     if self.cut_short else self.path)
                self.reader.open()
        except DAMAGE as error:
            raise BagError(f'cannot read bag {self.path}: {error} {self.cure()}') from None
        return self

    def __exit__(self, *error: object) -> None:
        self.reader.close()

    def find_cut_short(self) -> Path | None:
        """Return the file of the bag that lacks its end; only MCAP can be read up to there."""
        files = list(self.path.glob('*.mcap')) if self.path.is_dir() else [self.path]
        return next((file for file in files if file.suffix == '.mcap' and is_cut_short(file)),
                    None) if len(files) == 1 else None

    def cure(self) -> str:
        """Say what to do about a bag that cannot be opened."""
        if self.path.suffix == '.bag':
            return 'This is a ROS 1 bag: convert it with rosbags-convert.'
        if self.path.is_dir() and not (self.path / 'metadata.yaml').exists():
            return 'Give the .mcap or .db3 file itself, or run `ros2 bag reindex`.'
        return 'It is damaged or was cut short: try `mcap recover` or `ros2 bag reindex`.'

    def choose_image_topic(self, topic: str | None = None, labels: str | None = None
                           ) -> Connection:
        """Return the image topic asked for, or the only one that is not the label topic."""
        images = [connection for connection in self.reader.connections
                  if connection.msgtype in (IMAGE, COMPRESSED) and connection.topic != labels]
        if not images:
            topics = ', '.join(sorted({each.topic for each in self.reader.connections}))
            raise BagError(f'bag {self.path} has no image topic; its topics: {topics or "none"}')
        names = sorted({connection.topic for connection in images})
        if topic is None and len(names) > 1:
            raise BagError(f'bag {self.path} has {len(names)} image topics; choose one with '
                           f"--topic: {', '.join(names)}")
        if topic is not None and topic not in names:
            raise BagError(f'bag {self.path} has no image topic {topic}; it has '
                           f"{', '.join(names)}")
        return next(each for each in images if topic is None or each.topic == topic)

    def messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        """
        Yield (connection, log time in nanoseconds, bytes) in time order.

        Raises BagDamageError where a damaged bag breaks off, after all that could be read.
        """
        number = 0
        try:
            for connection, nanoseconds, raw in self.reader.messages():
                yield connection, nanoseconds, raw
                number += 1
        except DAMAGE as error:
            raise BagDamageError(f'bag {self.path} is damaged after {number} messages: {error}; '
                                 'what came before was used') from None
        if self.cut_short:
            raise BagDamageError(f'bag {self.path} was cut short: {self.cut_short.name} has no '
                                 f'end after {number} messages; these were used')

    def images(self, connection: Connection) -> Iterator[tuple[int, Any]]:
        """Yield (log time in nanoseconds, message) of one topic."""
        for each, nanoseconds, raw in self.messages():
            if each.topic == connection.topic:
                yield nanoseconds, parse(raw, each.msgtype)


def parse(raw: bytes, message_type: str) -> Any:
    """CDR bytes -> message with the same field names as in rclpy."""
    return TYPES.deserialize_cdr(raw, message_type)


def stamp_nanoseconds(message: Any) -> int:
    """Return the header stamp of a message."""
    stamp = message.header.stamp
    return stamp.sec * 10 ** 9 + stamp.nanosec


def raw_stamp_nanoseconds(raw: bytes) -> int:
    """Return the stamp of a message that starts with a header, without parsing the rest."""
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return seconds * 10 ** 9 + nanoseconds


class BagWriter:
    """
    A recording to write: `with BagWriter(path) as bag: bag.write(topic, type, time, message)`.

    Whatever happens inside the with, the bag is closed properly and holds what was written.
    """

    def __init__(self, path: str | Path, storage: str = 'mcap'):
        self.path = Path(path)
        if self.path.exists():
            raise BagError(f'output {self.path} exists already; remove it or choose another name')
        self.writer = Writer(self.path, version=Writer.VERSION_LATEST,
                             storage_plugin=StoragePlugin[storage.upper()])
        if storage == 'mcap':
            self.writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self.connections: dict[Any, Connection] = {}

    def __enter__(self) -> BagWriter:
        try:
            self.writer.open()
        except OSError as error:
            raise BagError(f'cannot write bag {self.path}: {error.strerror}; choose a folder '
                           'that you may write to') from None
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()

    def copy(self, connection: Connection, nanoseconds: int, raw: bytes) -> None:
        """Write a message of another bag as it is, with its type definition and QoS."""
        key = (connection.topic, connection.msgtype, str(connection.ext))
        if key not in self.connections:
            self.connections[key] = self.writer.add_connection(
                connection.topic, connection.msgtype, **definition(connection),
                offered_qos_profiles=connection.ext.offered_qos_profiles)
        self.put(self.connections[key], nanoseconds, raw)

    def write(self, topic: str, message_type: str, nanoseconds: int, message: Any) -> None:
        """Write a message of TYPES."""
        self.write_raw(topic, message_type, nanoseconds,
                       TYPES.serialize_cdr(message, message_type))

    def write_raw(self, topic: str, message_type: str, nanoseconds: int, raw: Any) -> None:
        """Write the CDR bytes of a message of TYPES."""
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(
                topic, message_type, typestore=TYPES)
        self.put(self.connections[topic], nanoseconds, raw)

    def put(self, connection: Connection, nanoseconds: int, raw: Any) -> None:
        """Write bytes; a full disk is an error in words."""
        try:
            self.writer.write(connection, nanoseconds, raw)
        except (OSError, apsw.Error) as error:
            raise BagError(f'cannot write to bag {self.path}: {error}') from None


def definition(connection: Connection) -> dict[str, str]:
    """Return definition and hash of a message type, from its bag, or from TYPES, or empty."""
    text, known = connection.msgdef.data, connection.msgtype in TYPES.fielddefs
    if not text and known:
        text = TYPES.generate_msgdef(connection.msgtype, ros_version=2)[0]
    digest = connection.digest or (TYPES.hash_rihs01(connection.msgtype) if known else NO_HASH)
    return {'msgdef': text, 'rihs01': digest}
