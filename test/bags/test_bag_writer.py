# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags that are written: for every ROS 2, whole at any moment, and never over something else."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from ros_bags import START, data_file, header, image, read_bag, write_bag
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability

from sparse_seg_ros.bags import bag_writer
from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import IMAGE, LABEL_INFO, TYPES, BagDamageError, BagError
from sparse_seg_ros.bags.bag_sink import label_info
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.replay import ReplayJob

BOTH = pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])


def metadata_of(path) -> dict:
    return yaml.safe_load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']


@BOTH
@pytest.mark.parametrize('version', [5, 8, 9])
def test_metadata_is_of_the_version_asked_for(tmp_path, storage, version):
    path = write_bag(tmp_path / 'bag', {'/image': image}, storage=storage, metadata=version)
    about = metadata_of(path)
    topic = about['topics_with_message_count'][0]['topic_metadata']
    assert about['version'] == version and about['files'][0]['message_count'] == 3
    assert isinstance(topic['offered_qos_profiles'], list if version == 9 else str)
    assert ('ros_distro' in about, 'type_description_hash' in topic) == (version > 5,) * 2
    profiles = topic['offered_qos_profiles']
    profile, = profiles if version == 9 else yaml.safe_load(profiles)
    assert profile['reliability'] == ('reliable' if version == 9 else 1)
    assert len(read_bag(path)['/image']) == 3


@BOTH
def test_topics_have_the_qos_of_the_node_and_labels_are_latched(tmp_path, storage):
    with BagWriter(tmp_path / 'bag', storage) as out:
        out.write('/mask', IMAGE, START, image(0))
        out.write('/label_info', LABEL_INFO, START, label_info(header(0), ('road', 'car')))
    with Bag(tmp_path / 'bag') as bag:
        found = {each.topic: each.ext.offered_qos_profiles[0] for each in bag.connections}
    assert {each.reliability for each in found.values()} == {QosReliability.RELIABLE}
    assert found['/mask'].durability == QosDurability.VOLATILE
    assert found['/label_info'].durability == QosDurability.TRANSIENT_LOCAL


def test_label_info_is_a_message_of_vision_msgs():
    message = label_info(header(0), ('road', 'car'))
    assert [(each.class_id, each.class_name) for each in message.class_map] == [
        (0, 'road'), (1, 'car')]
    assert TYPES.generate_msgdef(LABEL_INFO, ros_version=2)[0].startswith(
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n')


def test_what_is_committed_every_second_outlives_a_killed_recorder(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_writer, 'COMMIT_SECONDS', 0.0)
    with BagWriter(tmp_path / 'bag', 'sqlite3') as out:
        for number in range(2):
            out.write('/image', IMAGE, START + number, image(number))
        assert len(read_bag(tmp_path / 'bag.part')['/image']) == 2  # as if it was killed here
    assert [each.name for each in tmp_path.iterdir()] == ['bag']


# The limit on the size of a file stands for a full disk.
FILL = """
import os, resource, signal, sys
from sparse_seg_ros.bags.bag_messages import IMAGE
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.replay import ReplayJob
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    with BagWriter(sys.argv[1], sys.argv[2]) as out:
        for number in range(10):
            out.write_raw('/image', IMAGE, number, os.urandom(2_000_000))
except ValueError as error:
    print(error)
"""


@BOTH
@pytest.mark.parametrize('limit', [0, 5_000_000])
def test_a_full_disk_is_one_sentence(tmp_path, storage, limit):
    done = subprocess.run([sys.executable, '-c', FILL, str(tmp_path / 'bag'), storage,
                           str(limit)], capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr[-900:]
    assert done.stdout.startswith('cannot write') and 'Traceback' not in done.stdout
    assert done.stdout.count('\n') == 1
    if limit and storage == 'mcap':
        with Bag(tmp_path / 'bag.part') as bag, pytest.raises(BagError, match='no end; 2 mess'):
            list(bag.messages())


# A replay whose model stops when some chunks were written, until a signal comes.
STOP = """
import sys, time
sys.path[:0] = sys.argv[3:]
from ros_fakes import make_segmenter
import sparse_seg_ros.loading.zoo as zoo
from sparse_seg_ros.commands import main
model = make_segmenter()
numbers = iter(range(1000))
def stop(picture, **wanted):
    if next(numbers) == 145:
        print('here', flush=True)
        time.sleep(60)
    return model(picture, **wanted)
stop.labels, stop.description, stop.method = model.labels, {}, model.method
zoo.load = lambda *arguments: stop
sys.exit(main(['replay', '--bag', sys.argv[1], '-o', sys.argv[2]]))
"""


def interrupt(tmp_path, number: int) -> subprocess.Popen:
    """Replay a bag of 160 frames, and send a signal within; the process that has ended."""
    bag = write_bag(tmp_path / 'in', {'/image': image}, 160)
    process = subprocess.Popen(
        [sys.executable, '-c', STOP, str(bag), str(tmp_path / 'out'), *sys.path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'here\n'
    process.send_signal(number)
    process.communicate(timeout=60)
    return process


def test_a_killed_replay_leaves_a_part_that_can_be_read_and_is_called_so(tmp_path):
    assert interrupt(tmp_path, signal.SIGKILL).returncode == -signal.SIGKILL
    assert sorted(each.name for each in tmp_path.iterdir()) == ['in', 'out.part']
    found = Counter()
    with Bag(tmp_path / 'out.part') as bag:
        assert 'is the beginning of a bag; the process that wrote it was killed' in bag.notes[0]
        with pytest.raises(BagDamageError, match='out.mcap has no end'):
            found.update(connection.topic for connection, _, _ in bag.messages())
    assert 50 < found['/image'] <= 146 and found['/segmentation/mask'] > 50
    with pytest.raises(ValueError, match='part of an earlier run .*out.part exists already; rem'):
        ReplayJob(tmp_path / 'in', tmp_path / 'out').check()


def test_a_replay_that_is_terminated_closes_its_bag_properly(tmp_path):
    assert interrupt(tmp_path, signal.SIGTERM).returncode == 130
    assert sorted(each.name for each in tmp_path.iterdir()) == ['in', 'out']
    with AnyReader([tmp_path / 'out']) as reader:
        counts = {topic: about.msgcount for topic, about in reader.topics.items()}
    assert (counts['/image'], counts['/segmentation/mask']) == (146, 145)


def test_an_output_that_exists_or_cannot_be_written_is_an_error(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    with pytest.raises(ValueError, match='exists already; remove it or choose another name'):
        BagWriter(path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty exists already'):
        BagWriter(tmp_path / 'empty')
    (tmp_path / 'file').touch()
    with pytest.raises(BagError, match='cannot write bag .*file/bag: Not a directory'):
        with BagWriter(tmp_path / 'file' / 'bag'):
            pass


def test_a_path_that_sqlite_would_misread_is_refused(tmp_path):
    with pytest.raises(BagError, match=r'its path must have none of \? # %; choose another'):
        BagWriter(tmp_path / 'drive#2', 'sqlite3')
    assert len(read_bag(write_bag(tmp_path / 'drive#2', {'/image': image}))['/image']) == 3
    assert data_file(tmp_path / 'drive#2').name == 'drive#2.mcap'


def test_a_dangling_link_is_refused(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'gone')
    with pytest.raises(ValueError, match='link is a link to .*gone, which does not exist; remov'):
        BagWriter(tmp_path / 'link')
