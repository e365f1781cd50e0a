# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading bags without ROS, and what is said about bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ros_bags import START, data_file, image, labels, read_bag, read_damaged, write_bag

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    BagError,
    MessageError,
    full_type_name,
    parse,
)

BOTH = pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])


@BOTH
def test_a_bag_comes_back_as_it_went(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, storage=storage)
    messages = read_bag(path)['/front/image']
    assert [time for time, _ in messages] == [
        1_700_000_000_123_461_789 + number * 100_000_000 for number in range(3)]
    for number, (_, message) in enumerate(messages):
        sent = image(number)
        assert message.header == sent.header and (message.data == sent.data).all()


@BOTH
def test_the_file_alone_can_be_read_too(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, storage=storage)
    assert len(read_bag(data_file(path))['/front/image']) == 3


def test_a_missing_bag_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no bag .*nowhere; give a rosbag2 folder'):
        Bag(tmp_path / 'nowhere')


def truncate(path: Path, part: float) -> None:
    file = data_file(path)
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * part)])


def test_of_a_truncated_sqlite_bag_the_beginning_is_read(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, frames=90, storage='sqlite3')
    truncate(path, 0.6)
    times, words = read_damaged(path)
    assert 20 < len(times) < 90 and times == sorted(times) and 'bag.db3 is damaged' in words


def test_of_a_truncated_sqlite_bag_without_a_beginning_the_cure_is_named(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, frames=30, storage='sqlite3')
    truncate(path, 0.001)
    with pytest.raises(BagError, match='is damaged or was cut short: try `sqlite3 bag.db3 .recov'):
        read_bag(path)


@pytest.mark.parametrize('has_metadata', [True, False])
@pytest.mark.parametrize(('part', 'at_least'), [(0.0005, 0), (0.3, 0), (0.9, 144), (0.999, 300)])
def test_a_truncated_mcap_bag_is_read_up_to_there(tmp_path, part, at_least, has_metadata):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, frames=300)
    truncate(path, part)
    if not has_metadata:  # as a recorder that was killed leaves it
        (path / 'metadata.yaml').unlink()
    times, words = read_damaged(path)
    assert f'bag.mcap has no end; {len(times)} messages were read' in words
    assert at_least <= len(times) <= 300 and times == sorted(times)


@BOTH
def test_metadata_that_is_absent_damaged_or_of_another_storage_hides_nothing(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, storage=storage)
    metadata = path / 'metadata.yaml'
    whole = metadata.read_text()
    for text in (None, '', '{', 'a: *b', whole.replace(f'identifier: {storage}', 'identifier: x'),
                 whole.replace(f'identifier: {storage}', "identifier: ''")):
        metadata.unlink() if text is None else metadata.write_text(text)
        assert len(read_bag(path)['/front/image']) == 3


def test_what_is_wrong_with_metadata_is_noted(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    (path / 'metadata.yaml').write_text('a: [' * 1000)
    with Bag(path) as bag:
        note, = bag.notes
    assert 'metadata.yaml of' in note and 'the bag is read without it' in note
    assert len(note) < 400 + len(str(path))


def test_a_renamed_data_file_is_read_and_noted(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    data_file(path).rename(path / 'drive.mcap')
    assert len(read_bag(path)['/front/image']) == 3
    with Bag(path) as bag:
        assert 'names bag.mcap, which is not there; drive.mcap is read instead' in bag.notes[0]


@BOTH
def test_fewer_messages_than_the_metadata_tells_are_said(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, storage=storage)
    metadata = path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 3', 'message_count: 7'))
    times, words = read_damaged(path)
    assert len(times) == 3 and 'it counts 7 messages; 3 messages were read' in words


def split_bag(folder: Path, storage: str = 'mcap') -> Path:
    """Write a bag of three files, the names of which sort by number only."""
    folder.mkdir()
    names = []
    for part in (2, 9, 10):
        one = write_bag(folder / f'part{part}', {
            '/front/image': lambda number, part=part: image(number + 3 * part)}, storage=storage)
        names.append(f'drive_{part}{data_file(one).suffix}')
        data_file(one).rename(folder / names[-1])
    (folder / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information:\n  message_count: 9\n  relative_file_paths:\n'
        + ''.join(f'  - {name}\n' for name in names))
    return folder


@BOTH
def test_a_split_bag_is_read_in_order_with_and_without_metadata(tmp_path, storage):
    path = split_bag(tmp_path / 'bag', storage)
    stamps = [[message.header.stamp.nanosec for _, message in read_bag(path)['/front/image']]]
    (path / 'metadata.yaml').unlink()
    stamps.append([message.header.stamp.nanosec for _, message in read_bag(path)['/front/image']])
    expected = [image(3 * part + number).header.stamp.nanosec
                for part in (2, 9, 10) for number in range(3)]
    assert stamps == [expected, expected]


def test_of_a_split_bag_all_files_are_used_that_can_be(tmp_path):
    path = split_bag(tmp_path / 'bag')
    (path / 'drive_2.mcap').unlink()
    times, words = read_damaged(path)
    assert len(times) == 6 and 'drive_2.mcap is missing; 6 messages were read' in words
    last = path / 'drive_10.mcap'
    last.write_bytes(b'')  # a power cut
    times, words = read_damaged(path)
    assert len(times) == 3 and 'drive_10.mcap is empty' in words


def test_a_data_file_that_the_metadata_does_not_name_is_left_out_and_noted(tmp_path):
    path = split_bag(tmp_path / 'bag')
    write_bag(tmp_path / 'other', {'/rear/image': image})
    data_file(tmp_path / 'other').rename(path / 'other.mcap')
    assert len(read_bag(path)['/front/image']) == 9
    with Bag(path) as bag:
        assert 'does not name other.mcap, which is left out' in bag.notes[0]


def test_a_message_that_is_none_says_so():
    for raw in (b'', b'\0\1', bytes(40), b'\0\1\0\0' + b'\xff' * 200):
        with pytest.raises(MessageError, match='bytes are not a sensor_msgs/msg/Image'):
            parse(raw, 'sensor_msgs/msg/Image')


@pytest.mark.parametrize('name', [
    'sensor_msgs/Image', 'sensor_msgs/msg/Image', 'sensor_msgs::msg::Image',
    'sensor_msgs::msg::dds_::Image_'])
def test_types_are_known_by_every_name_that_recorders_write(name):
    assert full_type_name(name) == 'sensor_msgs/msg/Image'


@BOTH
def test_two_types_on_one_topic_are_two_connections(tmp_path, storage):
    from sparse_seg_ros.bags.bag_messages import TYPES
    from sparse_seg_ros.bags.bag_writer import BagWriter

    with BagWriter(tmp_path / 'bag', storage) as out:
        for kind, message in (('sensor_msgs/msg/Image', labels(0)),
                              ('std_msgs/msg/Header', image(0).header)):
            connection = out.writer.add_connection('/mixed', kind, typestore=TYPES)
            out.put(connection, START, TYPES.serialize_cdr(message, kind))
    with Bag(tmp_path / 'bag') as bag:
        assert {(each.topic, each.msgtype, each.msgcount) for each in bag.connections} == {
            ('/mixed', 'sensor_msgs/msg/Image', 1), ('/mixed', 'std_msgs/msg/Header', 1)}
        assert len(list(bag.messages())) == 2


def test_bags_need_no_ros():
    code = ('import sys; sys.modules["rclpy"] = None; sys.modules["sensor_msgs"] = None; '
            'import sparse_seg_ros.bags.replay')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=60)
