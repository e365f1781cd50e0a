# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data files as recorders, copies and mistakes leave them: each is read, or called by its name."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest
from ros_bags import START, data_file, image, labels, read_bag, write_bag
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import IMAGE, TYPES, BagDamageError, BagError

BOTH = pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])


def write_compressed(path, storage: str, mode: CompressionMode, frames: int = 3):
    """Write images as `ros2 bag record --compression-mode` does."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        topic = writer.add_connection('/image', IMAGE, typestore=TYPES)
        for number in range(frames):
            writer.write(topic, START + number, TYPES.serialize_cdr(image(number), IMAGE))
    return path


@BOTH
@pytest.mark.parametrize('mode', [CompressionMode.MESSAGE, CompressionMode.FILE],
                         ids=['message', 'file'])
def test_compressed_bags_are_read_from_the_folder_and_from_the_file_alone(tmp_path, storage,
                                                                         mode):
    path = write_compressed(tmp_path / 'bag', storage, mode)
    for source in (path, data_file(path)):
        messages = read_bag(source)['/image']
        assert len(messages) == 3 and (messages[1][1].data == image(1).data).all()


def test_of_a_compressed_mcap_that_was_cut_short_the_beginning_is_read(tmp_path):
    path = data_file(write_compressed(tmp_path / 'bag', 'mcap', CompressionMode.FILE, 200))
    path.write_bytes(path.read_bytes()[:-300])
    found = []
    with Bag(path) as bag, pytest.raises(BagDamageError, match='mcap.zstd was cut short'):
        for message in bag.messages():
            found.append(message)
    assert 100 < len(found) < 200


def add_to_database(path) -> None:
    """Add two messages as a recorder that is killed before it has put them into the file."""
    database = sqlite3.connect(path)
    database.execute('PRAGMA journal_mode = WAL')
    database.execute('PRAGMA wal_autocheckpoint = 0')
    topic, data = database.execute('SELECT topic_id, data FROM messages').fetchone()
    database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                         [(topic, START + 10 ** 10 + number, data) for number in range(2)])
    database.commit()
    files = {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}
    database.close()
    for name, content in files.items():
        (path.parent / name).write_bytes(content)


def test_messages_in_a_write_ahead_log_are_read_and_the_bag_stays_as_it_is(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, storage='sqlite3')
    add_to_database(data_file(path))
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    assert any(name.endswith('-wal') for name in before)
    for source in (path, data_file(path)):
        assert len(read_bag(source)['/image']) == 5
    assert {each.name: each.read_bytes() for each in path.iterdir()} == before


def test_a_half_written_transaction_is_undone(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, storage='sqlite3')
    file = data_file(path)
    whole = file.read_bytes()
    database = sqlite3.connect(file, isolation_level=None)
    database.execute('PRAGMA cache_size = 1')  # pages are written before the commit
    database.execute('BEGIN')
    database.execute('UPDATE messages SET topic_id = 77, data = zeroblob(9999)')
    database.execute('DELETE FROM topics')
    copies = {each.name: each.read_bytes() for each in path.iterdir()}
    database.close()
    for name, content in copies.items():
        (path / name).write_bytes(content)
    assert copies['bag.db3-journal'] and copies['bag.db3'] != whole
    assert len(read_bag(path)['/image']) == 3


@pytest.mark.parametrize('left_out', [
    ('type_description_hash',), ('type_description_hash', 'offered_qos_profiles')])
def test_databases_of_older_versions_are_read(tmp_path, left_out):
    path = data_file(write_bag(tmp_path / 'bag', {'/image': image}, storage='sqlite3'))
    with sqlite3.connect(path) as database:
        for table in ('schema', 'metadata', 'message_definitions'):
            database.execute(f'DROP TABLE {table}')
        for column in left_out:
            database.execute(f'ALTER TABLE topics DROP COLUMN {column}')
    database.close()
    assert len(read_bag(path)['/image']) == 3


def test_short_types_unknown_encodings_and_odd_paths_are_read_from_a_database(tmp_path):
    folder = write_bag(tmp_path / 'bag', {'/image': image}, storage='sqlite3')
    path = data_file(folder.rename(tmp_path / 'a #1 50%20 ?x=1'))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE topics SET type = 'sensor_msgs/Image'")
        database.execute("UPDATE message_definitions SET encoding = 'unknown'")
    database.close()
    assert len(read_bag(path)['/image']) == 3


WRONG = {
    'drive.bag': (b'#ROSBAG V1.2\n', 'is a ROS 1 bag of another version than 2.0'),
    'drive.mp4': (b'\0\0\0 ftypisom', 'is a video, not a bag; record it as a bag first'),
    'drive.mcap': (b'version https://git-lfs.github.com/spec/v1\n', 'run `git lfs pull`'),
    'empty.db3': (b'', 'is empty: its recorder was killed before it wrote anything'),
    'zeros.mcap': (bytes(5000), 'is empty: its recorder was killed'),
    'street.png': (b'\x89PNG\r\n\x1a\n', 'is a picture, not a bag; segment it in Python'),
    'drive.txt': (b'hello', 'is no MCAP, SQLite or ROS 1 bag file; give a rosbag2 folder'),
}


@pytest.mark.parametrize('name', WRONG)
def test_a_file_that_is_no_bag_is_called_by_its_name(tmp_path, name):
    content, words = WRONG[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError) as error, Bag(tmp_path / name):
        pass
    assert words in str(error.value) and 'damaged' not in str(error.value)


def test_a_database_of_something_else_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / 'other.db3') as database:
        database.execute('CREATE TABLE notes(text)')
    database.close()
    with pytest.raises(BagError, match='other.db3 is a database without tables of messages and'
                       ' topics, not one of rosbag2$'), Bag(tmp_path / 'other.db3'):
        pass


def test_a_folder_without_data_is_called_by_its_name(tmp_path):
    for name, words in ((None, 'holds no .mcap, .db3 or .bag file; give the folder of a rosbag2'),
                        ('one.JPG', 'is a folder of pictures, not a bag; score them with')):
        if name:
            (tmp_path / name).touch()
        with pytest.raises(BagError) as error, Bag(tmp_path):
            pass
        assert words in str(error.value) and 'reindex' not in str(error.value)


def test_metadata_without_its_data_file_says_to_copy_it(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': labels})
    data_file(path).unlink()
    with pytest.raises(BagError, match='names bag.mcap, and no data file; copy the whole'), \
            Bag(path):
        pass


def test_a_database_that_is_only_in_its_log_yet_is_read(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, storage='sqlite3')
    file = data_file(path)
    whole = sqlite3.connect(file)
    young = sqlite3.connect(tmp_path / 'young.db3')
    young.execute('PRAGMA journal_mode = WAL')
    young.executescript('\n'.join(whole.iterdump()))
    young.commit()
    copies = {each: each.read_bytes() for each in tmp_path.glob('young.db3*')}
    for database in (young, whole):
        database.close()
    for path, content in copies.items():
        path.write_bytes(content)
    assert len(copies[tmp_path / 'young.db3']) == 4096  # its first page only
    assert len(read_bag(tmp_path / 'young.db3')['/image']) == 3


def test_a_disk_without_room_for_a_copy_is_not_called_damage(tmp_path, monkeypatch):
    def fill(*paths):
        raise OSError(errno.ENOSPC, 'No space left on device')
    path = write_bag(tmp_path / 'bag', {'/image': image}, storage='sqlite3')
    add_to_database(data_file(path))
    monkeypatch.setattr('shutil.copyfile', fill)
    with pytest.raises(BagError, match='No space left on device; set TMPDIR to a folder with'), \
            Bag(path):
        pass
