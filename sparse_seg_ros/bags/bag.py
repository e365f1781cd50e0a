# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Recordings of ROS 2, MCAP or SQLite, and of ROS 1, read in pure Python, without ROS.

Messages of types other than images are copied and never parsed, so a bag may hold any types.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rosbags.interfaces import Connection

from sparse_seg_ros.bags.bag_files import BagFile, check_is_of_ros_2, list_files, open_file
from sparse_seg_ros.bags.bag_messages import (
    DAMAGE,
    BagDamageError,
    BagError,
    decompressed,
)
from sparse_seg_ros.texts import one_line

LATEST_NANOSECONDS = 2 ** 63  # log times beyond are of damaged messages, and no bag takes them


class Bag:
    """
    A recording to read: `with Bag(path) as bag: for message in bag.messages(): ...`.

    connections: one of each topic and type, with the number of its messages, if that is known.
    notes: what is unusual about the bag, and how it was handled.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f'no bag {self.path}; give a rosbag2 folder, or its .mcap '
                                    'or .db3 file, or a .bag file')

    def __enter__(self) -> Bag:
        self.listing = list_files(self.path)
        self.notes, self.files, self.lost = list(self.listing.notes), [], []
        self.lost += [f'{name} is missing' for name in self.listing.missing]
        with TemporaryDirectory() as folder:  # the files stay readable while they are open
            for file in self.listing.files:
                self.open(file, Path(folder))
        check_is_of_ros_2(self.path, [file for _, file in self.files])
        self.notes += [note for _, file in self.files for note in getattr(file, 'notes', ())]
        self.connections = merge(file for _, file in self.files)
        self.foreign = {encoding for _, file in self.files for encoding in file.foreign.values()}
        if self.foreign:
            self.notes.append(f'topics that are not of ROS 2 ({", ".join(sorted(self.foreign))}) '
                              'are left out')
        return self

    def open(self, path: Path, folder: Path) -> None:
        """Open one data file; of several files, a bad one does not hide the others."""
        try:
            self.files.append((path, open_file(path, folder)))
        except BagError as error:
            if len(self.listing.files) == 1:
                raise
            self.lost.append(str(error))

    def __exit__(self, *error: object) -> None:
        for _, file in self.files:
            file.close()

    @property
    def message_count(self) -> int:
        """Number of messages of ROS 2 that the bag says it holds."""
        listed = 0 if self.foreign else self.listing.message_count  # metadata counts all of them
        return max(listed, sum(file.message_count for _, file in self.files))

    def messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        """
        Yield (connection, log time in nanoseconds, bytes), those of each file in time order.

        An MCAP file without chunks comes in its own order. Raises BagDamageError in the end if
        messages are missing, after all that could be read.
        """
        number, lost = 0, list(self.lost)
        for path, file in self.files:
            before = number
            try:
                for key, nanoseconds, raw in file.messages():
                    if 0 <= nanoseconds < LATEST_NANOSECONDS:
                        yield file.connections[key], nanoseconds, decompressed(raw)
                        number += 1
            except (*DAMAGE, sqlite3.Error) as error:
                lost.append(f'{path.name} is damaged after {number - before} messages '
                            f'({one_line(error)})')
            lost += [f'{path.name} {words}' for words in dict.fromkeys(file.damage)]
        if not lost and number < self.message_count:
            lost.append(f'it counts {self.message_count} messages')
        if lost:
            raise BagDamageError(f'bag {self.path} is not whole: {"; ".join(lost)}; {number} '
                                 'messages were read')


def merge(files: Iterator[BagFile]) -> list[Connection]:
    """Return one connection of each topic and type, with its messages in all files."""
    merged: dict[tuple[str, str], Connection] = {}
    for file in files:
        for each in file.connections.values():
            key = each.topic, each.msgtype
            count = merged[key].msgcount if key in merged else 0
            merged[key] = each._replace(msgcount=each.msgcount + count)
    return list(merged.values())
