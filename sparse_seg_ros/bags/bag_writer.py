# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""rosbag2 recordings written in pure Python, without ROS, for the ROS 2 that is to play them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from sparse_seg_ros.bags.bag_files import PART
from sparse_seg_ros.bags.bag_messages import LABEL_INFO, TYPES, BagError, definition, profile
from sparse_seg_ros.new_paths import check_is_new

COMMIT_SECONDS = 1.0  # a recorder that is killed loses no more than this
LATER_THAN_5 = ('custom_data', 'ros_distro')
WRITE_ERRORS = (OSError, sqlite3.Error)


class BagWriter:
    """
    A recording to write: `with BagWriter(path) as bag: bag.write(topic, type, time, message)`.

    Whatever happens inside the with, the bag is closed properly and holds what was written. It is
    written inside PATH.part and moved to its place when it is closed. So a process that is killed,
    or a full disk, leaves a part under that name: in SQLite up to COMMIT_SECONDS earlier, in MCAP
    up to the last whole chunk.
    """

    def __init__(self, path: str | Path, storage: str = 'mcap', metadata: int = 8):
        self.path, self.metadata = Path(path), metadata
        self.part = check_output(self.path)
        if storage == 'sqlite3' and set(str(path)) & set('?#%'):  # rosbags reads it as a URI
            raise BagError(f'cannot write a SQLite bag to {path}: its path must have none of '
                           '? # %; choose another name')
        self.writer = Writer(self.part / self.path.name, version=max(metadata, 8),
                             storage_plugin=StoragePlugin[storage.upper()])
        self.database: sqlite3.Connection | None = None
        self.committed, self.is_full = time.monotonic(), False
        if storage == 'mcap':
            self.writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self.connections: dict[Any, Connection] = {}

    def __enter__(self) -> BagWriter:
        try:
            self.writer.open()
        except WRITE_ERRORS as error:
            raise BagError(f'cannot write bag {self.path}: {getattr(error, "strerror", error)}; '
                           'choose a folder that you may write to') from None
        self.database = getattr(self.writer.storage, 'conn', None)
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_full:  # metadata would count messages that are not there
            self.abort()
            return
        try:
            self.writer.close()
            if self.metadata < 8:
                write_old_metadata(self.writer.metapath, self.metadata)
            self.move()
        except WRITE_ERRORS as failure:
            self.abort()
            raise self.full(failure) from None

    def move(self) -> None:
        """Move the bag to its place; metadata last, if others have made that folder meanwhile."""
        whole = self.writer.path
        if self.path.exists():
            for file in sorted(whole.iterdir(), key=lambda file: file == self.writer.metapath):
                file.replace(self.path / file.name)
            whole.rmdir()
        else:
            whole.replace(self.path)
        self.part.rmdir()

    def abort(self) -> None:
        """Close the files as they are."""
        with suppress(*WRITE_ERRORS):
            self.writer.abort()

    def copy(self, connection: Connection, nanoseconds: int, raw: bytes) -> None:
        """Write a message of another bag as it is, with its type definition and QoS."""
        self.put(self.copy_topic(connection), nanoseconds, raw)

    def copy_topic(self, connection: Connection) -> Connection:
        """Return the topic of this bag for one of another bag; it is made the first time."""
        key = (connection.topic, connection.msgtype, str(connection.ext))
        if key not in self.connections:
            self.connections[key] = self.writer.add_connection(
                connection.topic, connection.msgtype, **definition(connection),
                offered_qos_profiles=connection.ext.offered_qos_profiles)
        return self.connections[key]

    def write(self, topic: str, message_type: str, nanoseconds: int, message: Any) -> None:
        """Write a message of TYPES."""
        self.write_raw(topic, message_type, nanoseconds,
                       TYPES.serialize_cdr(message, message_type))

    def write_raw(self, topic: str, message_type: str, nanoseconds: int, raw: Any) -> None:
        """Write the CDR bytes of a message of TYPES."""
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(
                topic, message_type, typestore=TYPES,
                offered_qos_profiles=[profile(is_latched=message_type == LABEL_INFO)])
        self.put(self.connections[topic], nanoseconds, raw)

    def put(self, connection: Connection, nanoseconds: int, raw: Any) -> None:
        """Write bytes, and commit every second; a full disk is an error in words."""
        try:
            self.writer.write(connection, nanoseconds, raw)
            if self.database and time.monotonic() - self.committed >= COMMIT_SECONDS:
                self.database.commit()
                self.committed = time.monotonic()
        except WRITE_ERRORS as error:
            raise self.full(error) from None

    def full(self, error: Exception) -> BagError:
        """Return the error of a disk that takes no more."""
        self.is_full = True
        return BagError(f'cannot write to bag {self.part}, which breaks off here: {error}; free '
                        'some space, or choose a folder on another disk')


def check_output(path: Path) -> Path:
    """Raise ValueError unless a bag can be new -> the folder that it is written in."""
    part = path.with_name(path.name + PART)
    check_is_new(path)
    check_is_new(part, 'part of an earlier run')
    return part


def write_old_metadata(path: Path, version: int) -> None:
    """Rewrite a metadata.yaml of version 8 without what came after version 5."""
    content = yaml.safe_load(path.read_text())
    about = content['rosbag2_bagfile_information']
    about['version'] = version
    for name in LATER_THAN_5:
        about.pop(name)
    for topic in about['topics_with_message_count']:
        topic['topic_metadata'].pop('type_description_hash')
    path.write_text(yaml.safe_dump(content, sort_keys=False))
