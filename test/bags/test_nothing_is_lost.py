# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every message of a bag, of whatever shape, is in the bag that a replay writes, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from mcap_writer import Channel, write_mcap
from ros_bags import PERIOD, START, TYPES, data_file, image, jpeg, labels, read_raw, replay
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    COMPRESSED,
    IMAGE,
    NO_HASH,
    profile,
    type_hash,
    zstd,
)

SECRET = 'my_msgs/msg/Secret'
STORE = get_typestore(Stores.ROS2_JAZZY)
STORE.register(get_types_from_msg('float64[3] numbers\nmy_msgs/Part[] parts\n' + '=' * 80
                                  + '\nMSG: my_msgs/Part\nstring name', SECRET))
TOPICS = {'/front/image_raw': IMAGE, '/front/label': IMAGE, '/rear/image/compressed': COMPRESSED,
          '/secret': SECRET, '/empty': SECRET, '/empty_image': IMAGE}
LATCHED = {'/secret', '/empty'}
Messages = dict[str, list[tuple[int, bytes]]]


def messages(numbers: Iterable[int]) -> list[tuple[str, int, bytes]]:
    """Return (topic, log time, bytes), some of a type that nobody knows, or damaged."""
    found = []
    for number in numbers:
        for place, (topic, make) in enumerate((
                ('/front/image_raw', image), ('/front/label', labels),
                ('/rear/image/compressed', jpeg))):
            raw = bytes(TYPES.serialize_cdr(make(number), TOPICS[topic]))
            found.append((topic, START + number * PERIOD + place, raw))
        found.append(('/secret', START + number * PERIOD + 7, b'\0\1\0\0' + bytes([number]) * 40))
    return found


def write(path: Path, items: list[tuple[str, int, bytes]], storage: str,
          mode: CompressionMode = CompressionMode.NONE,
          pack: Callable[[bytes], bytes] = bytes) -> Path:
    """Write a bag as `ros2 bag record` does."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if mode != CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(
            topic, kind, typestore=STORE, offered_qos_profiles=[profile(topic in LATCHED)])
            for topic, kind in TOPICS.items()}
        for topic, time, raw in items:
            writer.write(connections[topic], time, pack(raw))
    return path


def thrice(path: Path, items: list, storage: str) -> Path:
    """Write messages compressed by zstd into chunks compressed by zstd, and compress the file."""
    write(path, items, storage, CompressionMode.STORAGE if storage == 'mcap'
          else CompressionMode.MESSAGE, zstd.compress if storage == 'mcap' else bytes)
    file = data_file(path)
    file.with_name(file.name + '.zstd').write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    metadata = path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace(file.name, file.name + '.zstd'))
    return path


def split(path: Path, items: list, storage: str) -> Path:
    """Write three files without metadata."""
    path.mkdir()
    third = len(items) // 3
    for part in range(3):
        one = data_file(write(path / 'one', items[part * third:(part + 1) * third], storage))
        one.rename(path / f'drive_{part + 9}{one.suffix}')
        (path / 'one' / 'metadata.yaml').unlink()
        (path / 'one').rmdir()
    return path


def without_metadata(path: Path, items: list, storage: str) -> Path:
    """Write a bag as a recorder leaves it that is killed at its very end."""
    (write(path, items, storage) / 'metadata.yaml').unlink()
    return path


SHAPES = {'plain': write,
          **{mode.name.lower(): lambda *what, mode=mode: write(*what, mode) for mode in
             (CompressionMode.MESSAGE, CompressionMode.FILE, CompressionMode.STORAGE)},
          'message, chunk and file': thrice, 'split': split, 'no metadata': without_metadata}


def by_topic(items: Iterable[tuple[str, int, bytes]]) -> Messages:
    """Return topic -> its messages in time order."""
    found: Messages = {}
    for topic, time, raw in items:
        found.setdefault(topic, []).append((time, bytes(raw)))
    return found


def read_by_rosbags(path: Path) -> Messages:
    """Return what rosbags reads in a bag."""
    with AnyReader([path]) as reader:
        return by_topic((each.topic, time, raw) for each, time, raw in reader.messages())


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('shape', SHAPES)
def test_every_message_and_topic_is_in_the_new_bag(tmp_path, shape, storage):
    if (shape, storage) == ('storage', 'sqlite3'):
        pytest.skip('SQLite does not compress')
    items = messages(range(6))
    sent = by_topic(items)
    path = SHAPES[shape](tmp_path / 'bag', items, storage)
    if shape in ('plain', 'message', 'file', 'storage'):
        assert read_by_rosbags(path) == sent
    assert read_raw(path) == sent
    report = replay(path, tmp_path / 'out', topic='/front/image_raw', labels='/front/label')
    assert (report['frames'], report['scored'], report['damage']) == (6, 6, None)
    for read in (read_raw, read_by_rosbags):
        assert {topic: found for topic, found in read(tmp_path / 'out').items()
                if topic in sent} == sent
    with Bag(path) as bag, Bag(tmp_path / 'out') as out:
        kept = {about(each) for each in out.connections}
        assert {about(each) for each in bag.connections} <= kept
        assert {each.topic for each in bag.connections} == {*TOPICS}
        assert all((each.topic in LATCHED) == (each.ext.offered_qos_profiles[
            0].durability == QosDurability.TRANSIENT_LOCAL) for each in bag.connections)


def about(connection) -> tuple:
    """Return what a bag tells of a topic."""
    return (connection.topic, connection.msgtype, connection.msgcount, connection.msgdef.data,
            str(connection.ext))


IDL = """================================================================================
IDL: my_msgs/msg/Part
module my_msgs { module msg { struct Part { string name; }; }; };
================================================================================
IDL: my_msgs/msg/Secret
module my_msgs { module msg { struct Secret { double numbers[3];
sequence<my_msgs::msg::Part> parts; }; }; };
"""


def test_the_hash_of_a_type_is_that_of_its_definition_however_it_is_written():
    text = STORE.generate_msgdef(SECRET, ros_version=2)[0]
    assert type_hash(SECRET, text) == type_hash(SECRET, IDL) == STORE.hash_rihs01(SECRET)
    for unusable in ('no definition', IDL[:300], 'my_msgs/Gone[] parts'):
        assert type_hash(SECRET, unusable) == NO_HASH


def test_a_type_without_definition_leaves_the_new_bag_readable(tmp_path):
    items = [(0, START, bytes(TYPES.serialize_cdr(image(0), IMAGE))), (1, START + 1, b'secret')]
    path = write_mcap(tmp_path / 'x.mcap', [Channel('/image', IMAGE), Channel('/secret', SECRET)],
                      items)
    replay(path, tmp_path / 'out')
    assert read_by_rosbags(tmp_path / 'out')['/secret'] == [(START + 1, b'secret')]
