# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Messages of ROS 1 -> messages of ROS 2, by rosbags, with the definitions that their bag holds.

A type that ROS 2 has too becomes the type of ROS 2: a header loses its `seq`, and fields that only
ROS 2 has are empty. Any other type keeps its fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rosbags.convert.converter import STATIC_MSGTYPE_RENAMES, is_same_wireformat, migrate_bytes
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from sparse_seg_ros.bags.bag_messages import DAMAGE, EXTRA_TYPES, BagError, profile
from sparse_seg_ros.texts import one_line


@dataclass(frozen=True)
class Conversion:
    """What a type of ROS 1 becomes in ROS 2: name, definition and hash; convert takes bytes."""

    message_type: str
    definition: MessageDefinition
    digest: str
    convert: Callable[[bytes], Any]


class Ros1Types:
    """The types of one bag, those of ROS 2 and its own."""

    def __init__(self) -> None:
        self.types = get_typestore(Stores.ROS2_JAZZY)
        self.types.register(EXTRA_TYPES)
        self.own: dict[str, Any] = {}
        self.made: dict[tuple[str, str], Conversion] = {}

    def conversion(self, name: str, written: MessageDefinition) -> Conversion:
        """Name and definition of a type in ROS 1 -> Conversion; BagError where there is none."""
        if written.format != MessageDefinitionFormat.MSG:
            raise BagError(f'{name} has no definition')
        key = name, written.data
        if key not in self.made:  # a topic has a connection for each of its publishers
            self.made[key] = self.make(*key)
        return self.made[key]

    def make(self, name: str, text: str) -> Conversion:
        """Make a conversion, or raise BagError."""
        try:
            source = get_typestore(Stores.EMPTY)
            source.register(get_types_from_msg(text, name))
            self.register(source)
            new_name = STATIC_MSGTYPE_RENAMES.get(name, name)
            if is_same_wireformat(source, self.types, name, new_name):
                convert = partial(self.types.ros1_to_cdr, typename=new_name)
            else:
                convert = partial(migrate_bytes, source, self.types, name, new_name, {},
                                  src_is2=False, dst_is2=True)
            written = self.types.generate_msgdef(new_name, ros_version=2)[0]
            return Conversion(new_name, MessageDefinition(MessageDefinitionFormat.MSG, written),
                              self.types.hash_rihs01(new_name), convert)
        except (*DAMAGE, TypesysError, SyntaxError) as error:
            raise BagError(one_line(error)) from None

    def register(self, source: Any) -> None:
        """Add the types that ROS 2 does not have."""
        for name, fields in source.fielddefs.items():
            if name in self.own and self.own[name] != fields:
                raise BagError(f'the bag has two definitions of {name}')
        new = {name: fields for name, fields in source.fielddefs.items()
               if name not in self.types.fielddefs}
        self.types.register(new)
        self.own.update(new)


def ros_2_connection(key: int, topic: str, made: Conversion, latching: str | None,
                     owner: Any) -> Connection:
    """Return the connection of a topic whose messages are converted; 1 means latched."""
    profiles = [profile(is_latched=True)] if latching == '1' else []
    return Connection(key, topic, made.message_type, made.definition, made.digest, 0,
                      ConnectionExtRosbag2('cdr', profiles), owner)


def converted(messages: Iterable[tuple[int, int, bytes]], connections: Mapping[int, Connection],
              convert: Mapping[int, Callable], damage: list[str]
              ) -> Iterator[tuple[int, int, bytes]]:
    """
    Yield messages, those with an entry in convert as messages of ROS 2.

    Those that cannot be converted are counted, and named in damage at the end.
    """
    refused: Counter[str] = Counter()
    for key, nanoseconds, raw in messages:
        try:
            made = bytes(convert[key](raw)) if key in convert else raw
        except DAMAGE as error:
            refused[f'of {connections[key].topic} that cannot be converted to ROS 2 '
                    f'({one_line(error)})'] += 1
            continue
        yield key, nanoseconds, made
    damage += [f'has {count} messages {words}' for words, count in refused.items()]
