# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of ROS 1 are read like those of ROS 2, whole or not, and every message is converted."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from mcap_writer import Channel, write_mcap
from ros1_bags import COMPRESSED, IMAGE, MARKER, SPEED, TYPES, image, jpeg, speed, write_ros1_bag
from ros_bags import START, read_bag, read_damaged, read_raw, replay
from ros_fakes import make_image, make_segmenter
from rosbags.convert.converter import default_message
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag1 import Writer

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import BagError
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.bags.inputs import LabelledBag
from sparse_seg_ros.commands import main
from sparse_seg_ros.messages.pixels import to_labels

TOPICS = {'/front/image_raw': (IMAGE, image), '/front/speed': (SPEED, speed),
          '/latched': (SPEED, speed)}


def marker(number: int):
    """Return a message whose type has more fields in ROS 2."""
    return default_message(TYPES, MARKER)


def stamps(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Bag -> topic -> (log time, stamp), as rosbags reads them."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, time, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((time, message.header.stamp.nanosec))
    return found


@pytest.mark.parametrize('compression', [None, 'bz2', 'lz4'])
def test_every_message_is_what_rosbags_reads_and_in_the_new_bag(tmp_path, compression):
    path = write_ros1_bag(tmp_path / 'drive.bag', TOPICS, 5, compression)
    report = replay(path, tmp_path / 'out')
    assert (report['frames'], report['invalid'], report['damage']) == (5, 0, None)
    assert stamps(tmp_path / 'out').items() >= stamps(path).items()
    with AnyReader([tmp_path / 'out']) as reader:
        for connection, _, raw in reader.messages():
            if connection.topic == '/front/speed':
                message = reader.deserialize(raw, connection.msgtype)
                number = int(message.part.name.removeprefix('part '))
                assert message.part.since == message.header.stamp
                assert (message.wheels == np.arange(number)).all()
        durable = {each.topic for each in reader.connections for profile in
                   each.ext.offered_qos_profiles
                   if profile.durability == QosDurability.TRANSIENT_LOCAL}
    assert durable == {'/latched', '/front/segmentation/label_info'}


@pytest.mark.parametrize(('kind', 'make'), [(IMAGE, image), (COMPRESSED, jpeg)])
def test_raw_and_compressed_images_are_segmented(tmp_path, kind, make):
    path = write_ros1_bag(tmp_path / 'drive.bag', {'/front/image': (kind, make)})
    assert replay(path, tmp_path / 'out')['frames'] == 3
    for number, (_, mask) in enumerate(read_bag(tmp_path / 'out')['/front/segmentation/mask']):
        if make is image:
            expected = make_segmenter()(make_image(seed=number)).labels
            assert (to_labels(mask) == expected).all()


def test_images_and_labels_are_scored(tmp_path):
    def label(number):
        message = image(number)
        truth = (make_image(seed=number)[:, :, 1] > 127).astype(np.uint8)
        message.encoding, message.step, message.data = 'mono8', message.width, truth.reshape(-1)
        return message
    path = write_ros1_bag(tmp_path / 'drive.bag', {'/image': (IMAGE, image),
                                                   '/label': (IMAGE, label)})
    frames = LabelledBag(path, '/label')
    assert len(frames) == 3 and sum(1 for frame in frames if frame.label() is not None) == 3


def test_a_type_with_more_fields_in_ros_2_becomes_that_type(tmp_path):
    path = write_ros1_bag(tmp_path / 'drive.bag', {'/image': (IMAGE, image),
                                                   '/marker': (MARKER, marker)})
    (_, message), *others = read_bag(path)['/marker']
    assert message.texture_resource == '' and len(others) == 2


@pytest.mark.parametrize('is_chunked', [True, False])
def test_messages_of_ros_1_in_an_mcap_are_converted(tmp_path, is_chunked):
    channels = [Channel(topic, kind.replace('/msg', ''), 'ros1', 'ros1msg',
                        TYPES.generate_msgdef(kind)[0]) for topic, (kind, _) in TOPICS.items()]
    items = [(key, START + 10 * number + key, bytes(TYPES.serialize_ros1(make(number), kind)))
             for number in range(3) for key, (kind, make) in enumerate(TOPICS.values())]
    items.append((1, START + 99, b'no speed'))
    path = write_mcap(tmp_path / 'x.mcap', channels, items, profile='ros1', is_chunked=is_chunked)
    report = replay(path, tmp_path / 'out')
    assert report['frames'] == 3 and 'x.mcap has 1 messages of /front/speed' in report['damage']
    found = stamps(tmp_path / 'out')
    assert [stamp for _, stamp in found['/front/speed']] == [
        speed(number).header.stamp.nanosec for number in range(3)]
    assert found['/latched'] == [(time + 1, stamp) for time, stamp in found['/front/speed']]


def test_split_bags_of_a_folder_are_read_in_order(tmp_path):
    for part in (2, 9, 10):
        write_ros1_bag(tmp_path / f'drive_{part}.bag', {
            '/image': (IMAGE, lambda number, part=part: image(number + 3 * part))})
    found = [message.header.stamp.nanosec for _, message in read_bag(tmp_path)['/image']]
    assert found == [image(3 * part + number).header.stamp.nanosec
                     for part in (2, 9, 10) for number in range(3)]


@pytest.mark.parametrize(('compression', 'at_least'), [(None, 55), ('bz2', 48), ('lz4', 48)])
def test_a_truncated_bag_is_read_up_to_there(tmp_path, compression, at_least):
    path = write_ros1_bag(tmp_path / 'drive.bag', {'/image': (IMAGE, image)}, 100, compression)
    whole = path.read_bytes()
    for part, least in ((0.6, at_least), (0.001, 0), (0.9999, 100)):
        path.write_bytes(whole[:int(len(whole) * part)])
        times, words = read_damaged(path)
        assert f'drive.bag has no end; {len(times)} messages were read' in words
        assert least <= len(times) <= 100 and times == sorted(times)


def test_a_truncated_bag_is_replayed_up_to_there_with_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.load', lambda *arguments: make_segmenter())
    path = write_ros1_bag(tmp_path / 'drive.bag', TOPICS, 20)
    path.write_bytes(path.read_bytes()[:100_000])
    assert main(['replay', '--bag', str(path), '-o', str(tmp_path / 'out')]) == 1
    frames = len(read_raw(tmp_path / 'out')['/front/segmentation/mask'])
    assert 10 < frames < 20 and 'drive.bag has no end' in capsys.readouterr().err


def test_the_messages_that_a_killed_recorder_left_outside_of_a_chunk_are_read(tmp_path):
    path = write_ros1_bag(tmp_path / 'drive.bag.active', {'/image': (IMAGE, image)}, 10)
    data = path.read_bytes()
    last = data.rindex(b'compression=none')
    size = data.index(b'size=', last) + 9
    end = size + 4 + int.from_bytes(data[size:size + 4], 'little')
    path.write_bytes(data[:size] + bytes(4) + data[size + 4:end])  # its length is written last
    times, words = read_damaged(path)
    assert len(times) == 10 and 'drive.bag.active has no end; 10 messages were read' in words


def test_a_damaged_chunk_costs_only_its_messages(tmp_path):
    path = write_ros1_bag(tmp_path / 'drive.bag', {'/image': (IMAGE, image)}, 100, 'bz2')
    data = bytearray(path.read_bytes())
    second = data.index(b'BZh9', data.index(b'BZh9') + 4)
    data[second:second + 4] = bytes(4)
    path.write_bytes(data)
    times, words = read_damaged(path)
    assert 80 < len(times) < 100 and 'drive.bag is damaged at byte' in words


def test_messages_that_cannot_be_converted_are_counted_and_named(tmp_path):
    def bad(number):
        return b'no speed' if number == 1 else bytes(TYPES.serialize_ros1(speed(number), SPEED))
    path = write_ros1_bag(tmp_path / 'drive.bag', {'/image': (IMAGE, image), '/bad': (SPEED, bad)})
    report = replay(path, tmp_path / 'out')
    assert report['frames'] == 3 and 'drive.bag has 1 messages of /bad that cannot be converted' \
        in report['damage']
    assert len(read_raw(tmp_path / 'out')['/bad']) == 2


def test_a_topic_whose_type_cannot_be_converted_is_counted_and_named(tmp_path, capsys):
    path = write_ros1_bag(tmp_path / 'drive.bag', TOPICS)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'float32[] wheels', b'float32[] 7heels'))
    assert replay(path, tmp_path / 'out')['frames'] == 3
    said = capsys.readouterr().err
    assert '/front/speed cannot be converted to ROS 2 and is left out: ' in said
    assert '(type my_msgs/Speed, messages: 3)' in said


def test_an_empty_bag_and_an_old_version_are_called_by_their_names(tmp_path):
    path = write_ros1_bag(tmp_path / 'empty.bag', {}, 0)
    with Bag(path) as bag:
        assert list(bag.messages()) == []
        with pytest.raises(BagError, match='no image topic; its topics: none'):
            choose_images(bag)
    (tmp_path / 'old.bag').write_bytes(b'#ROSBAG V1.2\n' + bytes(50))
    with pytest.raises(BagError, match='another version than 2.0; migrate it'), \
            Bag(tmp_path / 'old.bag'):
        pass


def test_several_publishers_of_a_topic_are_one_topic(tmp_path):
    path = tmp_path / 'drive.bag'
    with Writer(path) as out:
        for number in range(3):
            one = out.add_connection('/image', IMAGE, typestore=TYPES, callerid=f'/node{number}')
            out.write(one, START + number, TYPES.serialize_ros1(image(number), IMAGE))
    report = replay(path, tmp_path / 'out')
    assert (report['frames'], report['damage']) == (3, None)
    assert stamps(tmp_path / 'out')['/image'] == stamps(path)['/image']


@pytest.mark.parametrize('compression', [None, 'bz2'])
def test_damage_anywhere_is_one_sentence(tmp_path, compression):
    path = write_ros1_bag(tmp_path / 'drive.bag', TOPICS, 4, compression, chunk_bytes=9_000)
    whole = path.read_bytes()
    generator = random.Random(5)
    for number in range(120):
        data = bytearray(whole)
        for _ in range(generator.choice([1, 3, 20])):
            start = generator.choice([0, 4100, len(data) // 2, len(data) - 1500])
            data[start + generator.randrange(1500)] = generator.randrange(256)
        path.write_bytes(data[:generator.choice([None, -number, len(data) // 2])])
        try:
            with Bag(path) as bag:
                list(bag.messages())
        except BagError as error:
            assert '\n' not in str(error) and len(str(error)) < 3000
