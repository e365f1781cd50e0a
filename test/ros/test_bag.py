# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing bags without ROS, and what is said about bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ros_bags import image, jpeg, labels, read_bag, write_bag

from sparse_seg_ros.ros.bag import Bag, BagDamageError, BagError, BagWriter

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
    file, = [each for each in path.iterdir() if each.suffix in ('.mcap', '.db3')]
    assert len(read_bag(file)['/front/image']) == 3


def test_the_only_image_topic_is_chosen_and_labels_are_not_it(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image_raw/compressed': jpeg,
                                        '/front/label': labels})
    with Bag(path) as bag:
        chosen = bag.choose_image_topic(labels='/front/label')
        assert chosen.topic == '/front/image_raw/compressed'
        assert len(list(bag.images(chosen))) == 3
        with pytest.raises(BagError, match='2 image topics; choose one with --topic: '
                                           '/front/image_raw/compressed, /front/label'):
            bag.choose_image_topic()
        with pytest.raises(BagError, match='no image topic /rear/image; it has /front'):
            bag.choose_image_topic('/rear/image')


def test_a_bag_without_images_lists_its_topics(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/label': labels})
    with Bag(path) as bag, pytest.raises(BagError, match='no image topic; its topics: /front/l'):
        bag.choose_image_topic(labels='/front/label')


def test_a_missing_bag_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no bag .*nowhere; give a rosbag2 folder'):
        Bag(tmp_path / 'nowhere')


def truncate(path: Path, part: float) -> None:
    file, = [each for each in path.iterdir() if each.suffix in ('.mcap', '.db3')]
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * part)])


@pytest.mark.parametrize('part', [0.001, 0.5, 0.99])
def test_a_truncated_sqlite_bag_is_named_with_its_cure(tmp_path, part):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, frames=30, storage='sqlite3')
    truncate(path, part)
    with pytest.raises(BagError, match='bag .*bag.*(damaged|cut short)'):
        read_bag(path)


@pytest.mark.parametrize('has_metadata', [True, False])
@pytest.mark.parametrize(('part', 'at_least'), [(0.0005, 0), (0.3, 0), (0.9, 144), (0.999, 300)])
def test_a_truncated_mcap_bag_is_read_up_to_there(tmp_path, part, at_least, has_metadata):
    path = write_bag(tmp_path / 'bag', {'/front/image': image}, frames=300)
    truncate(path, part)
    if not has_metadata:  # as a recorder that was killed leaves it
        (path / 'metadata.yaml').unlink()
    times = []
    with Bag(path) as bag, pytest.raises(BagDamageError, match='bag.mcap has no end after'):
        for _, nanoseconds, _ in bag.messages():
            times.append(nanoseconds)
    assert at_least <= len(times) <= 300 and times == sorted(times)


def test_a_folder_without_metadata_says_what_to_give_instead(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    (path / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match='Give the .mcap or .db3 file itself, or run'), Bag(path):
        pass


def test_a_ros_1_bag_and_any_other_file_are_refused(tmp_path):
    for name, text in (('drive.bag', 'This is a ROS 1 bag'), ('drive.txt', 'Unrecognized')):
        (tmp_path / name).write_bytes(b'#ROSBAG V2.0\n')
        with pytest.raises(BagError, match=text), Bag(tmp_path / name):
            pass


def test_an_output_that_exists_or_cannot_be_written_is_an_error(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    with pytest.raises(BagError, match='exists already; remove it or choose another name'):
        BagWriter(path)
    (tmp_path / 'file').touch()
    with pytest.raises(BagError, match='cannot write bag .*file/bag: Not a directory'):
        with BagWriter(tmp_path / 'file' / 'bag'):
            pass


def test_bags_need_no_ros():
    code = ('import sys; sys.modules["rclpy"] = None; sys.modules["sensor_msgs"] = None; '
            'import sparse_seg_ros.ros.replay')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=60)
