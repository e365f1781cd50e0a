# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a few kilobytes may unpack to."""

from __future__ import annotations

import bz2
import tracemalloc

import lz4.frame
import pytest
from ros_bags import START, read_raw, write_raw
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from sparse_seg_ros.bags import bag_files, unpacking
from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    IMAGE,
    TYPES,
    BagDamageError,
    MessageError,
    parse,
    zstd,
)
from sparse_seg_ros.bags.unpacking import unpack

PACK = {'bz2': bz2.compress, 'lz4': lz4.frame.compress, 'zstd': zstd.compress}
MEBIBYTE = 2 ** 20
KINDS = pytest.mark.parametrize('kind', PACK)


@KINDS
@pytest.mark.parametrize('size', [0, 1, 1000, 3 * MEBIBYTE])
def test_all_frames_up_to_the_size_are_unpacked(kind, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert unpack(kind, PACK[kind](content), size) == content
    assert unpack(kind, 2 * PACK[kind](content), 2 * size) == 2 * content


@KINDS
def test_one_byte_more_than_the_size_is_refused(kind):
    with pytest.raises(ValueError, match='unpacks to more than 999 bytes; record it again'):
        unpack(kind, PACK[kind](bytes(1000)), 999)
    with pytest.raises(ValueError, match='more than 1999 bytes'):
        unpack(kind, 2 * PACK[kind](bytes(1000)), 1999)
    with pytest.raises(ValueError, match='would unpack to 4096 MiB, and 1024 are the most'):
        unpack(kind, b'', 2 ** 32)


@KINDS
def test_what_was_cut_short_is_an_error_or_a_beginning(kind):
    packed, content = PACK[kind](bytes(1000)), bytes(1000)
    with pytest.raises((EOFError, RuntimeError)):
        unpack(kind, packed[:-3], 1000)
    assert content.startswith(unpack(kind, packed[:-3], 1000, is_strict=False))
    assert unpack(kind, packed + b'more', 1000, is_strict=False) == content
    assert unpack(kind, packed, 99, is_strict=False) == content[:100]


@KINDS
def test_a_bomb_takes_no_memory_of_its_own(kind):
    bomb = PACK[kind](bytes(64 * MEBIBYTE))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='unpacks to more'):
            unpack(kind, bomb, MEBIBYTE)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_message_that_is_a_bomb_is_copied_as_it_is_and_says_so_when_it_is_read(
        tmp_path, monkeypatch):
    bomb = zstd.compress(bytes(1001))
    monkeypatch.setattr('sparse_seg_ros.bags.bag_messages.MOST_BYTES', 1000)
    write_raw(tmp_path / 'bag', [('/image', IMAGE, bomb)])
    (_, raw), = read_raw(tmp_path / 'bag')['/image']
    assert raw == bomb
    with pytest.raises(MessageError, match='damaged or unpack to more than 1000 bytes; record'):
        parse(raw, IMAGE)


def test_a_file_of_zeros_is_unpacked_block_by_block(tmp_path):
    (tmp_path / 'x.mcap.zstd').write_bytes(zstd.compress(bytes(64 * MEBIBYTE)))
    (tmp_path / 'copy').mkdir()
    tracemalloc.start()
    try:
        copy, wrong = bag_files.unpack(tmp_path / 'x.mcap.zstd', tmp_path / 'copy')
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert (copy.stat().st_size, wrong) == (64 * MEBIBYTE, [])


@pytest.mark.parametrize('most', [100, unpacking.MOST_BYTES])
def test_a_chunk_beyond_the_bound_is_damage_that_is_named(tmp_path, monkeypatch, most):
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        topic = writer.add_connection('/image', IMAGE, typestore=TYPES)
        writer.write(topic, START, bytes(1000))
    monkeypatch.setattr(unpacking, 'MOST_BYTES', most)
    with Bag(tmp_path / 'bag') as bag:
        if most > 100:
            assert [raw for _, _, raw in bag.messages()] == [bytes(1000)]
            return
        with pytest.raises(BagDamageError, match='would unpack to .* are the most; record it in'):
            list(bag.messages())
