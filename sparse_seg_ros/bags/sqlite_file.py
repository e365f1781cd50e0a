# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The .db3 files of rosbag2, whatever version of it wrote them.

A recorder that was killed, or still runs, leaves the newest messages in a -wal file beside the
bag, or a -journal that undoes a half-written transaction. SQLite merges both into a copy, and the
bag stays as it is.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)

from sparse_seg_ros.bags.bag_messages import BagError, full_type_name, read_qos

MAGIC = b'SQLite format 3\0'
FIRST_PAGE_BYTES = 4096
LEFT_BESIDE = ('-wal', '-journal')
FORMATS = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}


class SqliteFile:
    """
    A file to read: its connections, by id, then its messages.

    damage lists what could not be read, in words; foreign topic and format of those not of ROS
    2; counts the messages of each topic.
    """

    def __init__(self, path: Path, folder: Path):
        self.path, self.damage, self.order = path, [], 'timestamp'
        self.foreign: dict[int, tuple[str, str]] = {}
        self.database = connect(settled(path, folder))
        definitions = self.read_definitions()
        self.counts = counts = self.count_messages()
        self.connections: dict[int, Connection] = {}
        for row in self.rows('topics'):
            if row['serialization_format'] == 'cdr':
                connection = make_connection(row, definitions, self)
                self.connections[row['id']] = connection._replace(
                    msgcount=counts.get(row['id'], 0))
            else:
                self.foreign[row['id']] = row['name'], row['serialization_format']
        self.message_count = sum(count for key, count in counts.items()
                                 if key not in self.foreign)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def count_messages(self) -> dict[int, int]:
        """Return topic -> number of messages; of a file that lacks pages what is left is read."""
        try:
            return dict(self.database.execute(
                'SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id'))
        except sqlite3.Error as error:
            self.damage.append(f'is damaged ({error})')
            self.order = 'id'  # needs no index, which lies anywhere
            return {}

    def rows(self, table: str) -> list[dict]:
        """Return a table as rows of column -> value; older versions have fewer columns."""
        found = self.database.execute(f'SELECT * FROM {table}')
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def read_definitions(self) -> dict[str, MessageDefinition]:
        """Return type -> definition, of files that hold definitions."""
        known = {name for name, in self.database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not known and self.path.stat().st_size < FIRST_PAGE_BYTES:
            raise ValueError('it ends within its first page')
        if not {'topics', 'messages'} <= known:
            raise BagError(f'{self.path} is a database without tables of messages and topics, not '
                           'one of rosbag2')
        return {full_type_name(row['topic_type']): MessageDefinition(
                    FORMATS[row['encoding']], row['encoded_message_definition'])
                for row in (self.rows('message_definitions')
                            if 'message_definitions' in known else ())
                if row['encoding'] in FORMATS}

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (connection id, log time in nanoseconds, bytes) in time order, if possible."""
        for key, nanoseconds, raw in self.database.execute(
                f'SELECT topic_id, timestamp, data FROM messages ORDER BY {self.order}'):
            if key in self.connections and isinstance(nanoseconds, int) \
                    and isinstance(raw, bytes):  # SQLite columns take anything
                yield key, nanoseconds, raw


def make_connection(row: dict, definitions: dict[str, MessageDefinition], owner: object
                    ) -> Connection:
    """Return the connection of a row of topics."""
    kind = full_type_name(row['type'])
    no_definition = MessageDefinition(MessageDefinitionFormat.NONE, '')
    extension = ConnectionExtRosbag2('cdr', read_qos(row.get('offered_qos_profiles')))
    return Connection(row['id'], row['name'], kind, definitions.get(kind, no_definition),
                      row.get('type_description_hash') or '', 0, extension, owner)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database that nobody changes meanwhile, even if it lacks its last pages."""
    database = sqlite3.connect(f'file:{quote(str(path))}?immutable=1', uri=True)
    database.execute('PRAGMA writable_schema = ON')  # SQLite refuses a short file otherwise
    return database


def settled(path: Path, folder: Path) -> Path:
    """Return the file, or a copy with what a recorder left beside it merged in."""
    left = [beside for end in LEFT_BESIDE
            if (beside := path.with_name(path.name + end)).exists() and beside.stat().st_size]
    if not left:
        return path
    for source in (path, *left):
        shutil.copyfile(source, folder / source.name)
    with sqlite3.connect(folder / path.name) as database:
        database.execute('PRAGMA journal_mode = DELETE').fetchall()
    database.close()
    return folder / path.name
