# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files of other recorders, and damaged ones: all is read that is there."""

from __future__ import annotations

import random

import pytest
from mcap_writer import Channel, write_mcap
from ros_bags import START, data_file, image, read_bag, write_bag

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import IMAGE, TYPES, BagDamageError, BagError

CAMERA = Channel('/image', IMAGE)
LATE = [0, 30, 20, 50, 40]  # log times are not sorted


def raw(number: int) -> bytes:
    return bytes(TYPES.serialize_cdr(image(number), IMAGE))


def messages(times=LATE) -> list[tuple[int, int, bytes]]:
    return [(0, START + time, raw(number)) for number, time in enumerate(times)]


@pytest.mark.parametrize('layout', [
    {}, {'has_message_index': False}, {'is_indexed': False}, {'is_chunked': False},
    {'is_chunked': False, 'is_indexed': False}, {'profile': ''}], ids=str)
def test_every_layout_is_read(tmp_path, layout):
    path = write_mcap(tmp_path / 'x.mcap', [CAMERA], messages(), **layout)
    times = [time - START for time, _ in read_bag(path)['/image']]
    assert times == (sorted(LATE) if layout.get('is_chunked', True) else LATE)


@pytest.mark.parametrize('is_chunked', [True, False])
def test_a_power_cut_keeps_every_complete_message_in_whatever_order_they_were_written(
        tmp_path, is_chunked):
    path = write_mcap(tmp_path / 'x.mcap', [CAMERA], messages(), is_chunked=is_chunked)
    path.write_bytes(path.read_bytes()[:-100])
    found = []
    with Bag(path) as bag, pytest.raises(BagDamageError, match='x.mcap has no end; 5 messages'):
        for message in bag.messages():
            found.append(message)
    assert len(found) == 5


def test_space_that_was_never_written_to_ends_the_file(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', [CAMERA], messages())
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(50_000_000))
    with Bag(path) as bag, pytest.raises(BagDamageError, match='5 messages were read'):
        list(bag.messages())


def test_one_damaged_chunk_costs_only_its_messages(tmp_path):
    path = data_file(write_bag(tmp_path / 'bag', {'/image': image}, frames=450))  # three chunks
    data = bytearray(path.read_bytes())
    second = data.index(b'\x28\xb5\x2f\xfd', data.index(b'\x28\xb5\x2f\xfd') + 4)
    data[second:second + 4] = bytes(4)
    path.write_bytes(data)
    found = []
    with Bag(path) as bag, pytest.raises(BagDamageError, match='bag.mcap is damaged at byte'):
        for _, nanoseconds, _ in bag.messages():
            found.append(nanoseconds)
    assert 200 < len(found) < 450 and found == sorted(found)


def test_an_index_that_points_elsewhere_is_not_believed(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', [CAMERA], messages())
    data = path.read_bytes()
    start = len(b'\x89MCAP0\r\n')
    length = 9 + int.from_bytes(data[start + 1:start + 9], 'little')
    longer = data[:start + length] + b'\x80' + (5).to_bytes(8, 'little') + b'extra' \
        + data[start + length:]
    footer = len(longer) - 37 + 9
    summary = int.from_bytes(longer[footer:footer + 8], 'little') + 14
    path.write_bytes(longer[:footer] + summary.to_bytes(8, 'little') + longer[footer + 8:])
    with Bag(path) as bag, pytest.raises(BagDamageError, match='damaged index .*; 5 messages we'):
        list(bag.messages())


def test_messages_of_other_encodings_are_left_out_and_noted(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', [CAMERA, Channel('/pose', 'x.Pose', 'protobuf',
                                                            'protobuf')],
                      [*messages(), (1, START, b'x')])
    assert len(read_bag(path)['/image']) == 5
    with Bag(path) as bag:
        assert bag.notes == ['topics that are not of ROS 2 (protobuf) are left out']


def test_the_metadata_of_a_bag_may_count_messages_of_other_encodings(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image})
    write_mcap(data_file(path), [CAMERA, Channel('/pose', 'x.Pose', 'protobuf', 'protobuf')],
               [*messages(LATE[:2]), (1, START, b'x')])  # three in all
    assert len(read_bag(path)['/image']) == 2


@pytest.mark.parametrize(('encoding', 'cure'), [
    ('ros1', 'give the .bag that it came from instead'),
    ('protobuf', 'record it with `ros2 bag record`')])
def test_a_file_without_messages_of_ros_2_is_called_by_its_name(tmp_path, encoding, cure):
    path = write_mcap(tmp_path / 'x.mcap', [Channel('/image', 'x/Image', encoding, encoding)],
                      [(0, START, b'x')])
    with pytest.raises(BagError) as error, Bag(path):
        pass
    assert f'holds no messages of ROS 2 (CDR) but {encoding}; {cure}' in str(error.value)


def test_damage_anywhere_is_one_sentence(tmp_path):
    whole = write_mcap(tmp_path / 'whole.mcap', [CAMERA], messages()).read_bytes()
    compressed = data_file(write_bag(tmp_path / 'bag', {'/image': image})).read_bytes()
    generator = random.Random(5)
    for number in range(200):
        data = bytearray(whole if number % 2 else compressed)
        for _ in range(generator.choice([1, 3, 20])):
            start = generator.choice([0, len(data) - 900]) + generator.randrange(900)
            data[start] = generator.choice([0, 255, generator.randrange(256)])
        (tmp_path / 'x.mcap').write_bytes(data)
        try:
            with Bag(tmp_path / 'x.mcap') as bag:
                list(bag.messages())
        except BagError as error:
            assert '\n' not in str(error) and len(str(error)) < 900
