# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images of Foxglove and packets of video streams are frames like any camera's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ros1_bags import header as ros1_header
from ros_bags import labels, read_bag, read_raw, replay, write_raw
from ros_fakes import make_image
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sparse_seg_ros.bags.bag_messages import FFMPEG_PACKET, FOXGLOVE_IMAGE, FOXGLOVE_VIDEO, IMAGE
from sparse_seg_ros.bags.bag_sink import base_topic
from sparse_seg_ros.bags.inputs import BagInput, LabelledBag
from sparse_seg_ros.demo.run import find_images
from sparse_seg_ros.messages.fields import stamp_nanoseconds

pytest.importorskip('av')
from video_bags import (
    encode,
    ffmpeg,
    foxglove_image,
    pictures,
    stamp,
    write_video,
)

STREAMS = {'h264': (FOXGLOVE_VIDEO, 'libx264'), 'h265': (FOXGLOVE_VIDEO, 'libx265'),
           'libx264': (FFMPEG_PACKET, 'libx264'),
           'hevc;yuv420p;bgr8;bgr8': (FFMPEG_PACKET, 'libx265')}


def read_frames(path: Path, **settings) -> tuple[dict[int, np.ndarray], list[str]]:
    """Bag -> (stamp -> picture, the errors of the others)."""
    found, errors = {}, []
    with BagInput(path, **settings) as source:
        for frame in source.frames():
            try:
                found[frame.stamp] = frame.image()
            except ValueError as error:
                errors.append(str(error))
    return found, errors


def check_pictures(found: dict[int, np.ndarray], numbers) -> None:
    """Compare pictures with those that were encoded."""
    sent = pictures(max(numbers) + 1)
    assert [*found] == [stamp(number) for number in numbers]
    for number in numbers:
        assert np.abs(found[stamp(number)].astype(int) - sent[number]).mean() < 12


@pytest.mark.parametrize('name', STREAMS)
def test_every_packet_is_a_frame_with_its_stamp(tmp_path, name):
    kind, codec = STREAMS[name]
    path = write_video(tmp_path / 'bag', kind, encode(codec, 10), name)
    found, errors = read_frames(path)
    assert errors == []
    check_pictures(found, range(10))


def test_a_stream_is_replayed_with_masks_beside_every_packet(tmp_path):
    path = write_video(tmp_path / 'bag', FOXGLOVE_VIDEO, encode('libx264', 6), 'h264')
    report = replay(path, tmp_path / 'out')
    assert (report['frames'], report['invalid'], report['topic']) == (
        6, 0, '/front/image_raw/ffmpeg')
    raw = read_raw(tmp_path / 'out')
    assert raw['/front/image_raw/ffmpeg'] == read_raw(path)['/front/image_raw/ffmpeg']
    masks = read_bag(tmp_path / 'out')['/front/segmentation/mask']
    assert [stamp_nanoseconds(mask.header) for _, mask in masks] == [*map(stamp, range(6))]
    assert {mask.header.frame_id for _, mask in masks} == {'lens'}


@pytest.mark.parametrize('name', STREAMS)
def test_frames_before_the_first_key_frame_are_refused_with_the_reason(tmp_path, name):
    kind, codec = STREAMS[name]
    path = write_video(tmp_path / 'bag', kind, encode(codec, 10)[1:], name)
    found, errors = read_frames(path)
    check_pictures(found, range(4, 10))
    assert len(errors) == 3
    assert all('the stream has no key frame before this packet' in each for each in errors)


@pytest.mark.parametrize('name', STREAMS)
def test_after_a_damaged_packet_no_picture_is_shown_until_the_next_key_frame(tmp_path, name):
    kind, codec = STREAMS[name]
    packets = encode(codec, 12)
    number, is_key, data = packets[5]
    packets[5] = number, is_key, data[:6]
    path = write_video(tmp_path / 'bag', kind, packets, name)
    found, errors = read_frames(path)
    check_pictures(found, [*range(5), *range(8, 12)])
    assert len(errors) == 3 and all('damaged or missing' in each for each in errors)


def test_pictures_that_come_later_than_their_packets_find_their_stamps(tmp_path):
    packets = encode('libx264', 12, {'bf': '2', 'x264-params': 'b-adapt=0:scenecut=0'})
    assert [number for number, _, _ in packets] != [*range(12)]  # B-frames
    path = write_video(tmp_path / 'bag', FFMPEG_PACKET, packets, 'libx264')
    found, errors = read_frames(path)
    assert errors == []
    check_pictures(found, range(12))


@pytest.mark.parametrize('suffix', ['.jpeg', '.png', '.webp'])
def test_still_images_of_foxglove_are_frames(tmp_path, suffix):
    write_raw(tmp_path / 'bag', [('/front/image', FOXGLOVE_IMAGE, foxglove_image(number, suffix))
                                 for number in range(3)])
    found, errors = read_frames(tmp_path / 'bag')
    assert errors == [] and [*found] == [*map(stamp, range(3))]
    assert np.abs(found[stamp(1)].astype(int) - make_image(seed=1)).mean() < 12


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded_or_used(tmp_path):
    for name in ('h264', 'libx264'):
        kind, codec = STREAMS[name]
        path = write_video(tmp_path / name, kind, encode(codec, 2), name)
        found, errors = read_frames(path, max_pixels=64 * 48 - 1)
        assert not found and len(errors) == 2 and 'raise max_pixels' in errors[0]


@pytest.mark.parametrize(('name', 'words'), [
    ('', "cannot decode ''"), ('smoke', "FFmpeg of PyAV cannot decode 'smoke'")])
def test_a_codec_that_is_not_known_is_named(tmp_path, name, words):
    path = write_video(tmp_path / 'bag', FOXGLOVE_VIDEO, [(0, True, b'x'), (1, True, b'')], name)
    found, errors = read_frames(path)
    assert not found and words in errors[0] and 'the packet is empty' in errors[1]


def test_without_pyav_one_sentence_names_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    monkeypatch.delitem(sys.modules, 'sparse_seg_ros.with_pyav', raising=False)
    monkeypatch.delattr('sparse_seg_ros.with_pyav', raising=False)
    path = write_video(tmp_path / 'bag', FOXGLOVE_VIDEO, [(0, True, b'x')], 'h264')
    with pytest.raises(ImportError, match='/ffmpeg is a video, which needs PyAV .*; pip install a'
                       ), BagInput(path):
        pass


def test_labels_are_joined_to_the_pictures_of_a_stream(tmp_path):
    packets = encode('libx264', 6)
    write_raw(tmp_path / 'bag', [
        *(('/cam/ffmpeg', FFMPEG_PACKET, ffmpeg(*each, 'libx264')) for each in packets),
        *(('/label', IMAGE, labels(number)) for number in (3, 5))])
    frames = [frame for frame in LabelledBag(tmp_path / 'bag', '/label')]
    assert [frame.stamp for frame in frames] == [stamp(3), stamp(5)]
    sent = pictures(6)
    for frame, number in zip(frames, (3, 5)):
        assert np.abs(frame.image().astype(int) - sent[number]).mean() < 12


def test_packets_in_a_bag_of_ros_1_have_other_fields_and_are_frames(tmp_path):
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg(
        'Header header\nuint8[] data\nint32 img_width\nint32 img_height\nstring encoding\n'
        'uint64 pts\nuint8 flags', FFMPEG_PACKET))
    with Writer(tmp_path / 'drive.bag') as out:
        topic = out.add_connection('/cam/ffmpeg', FFMPEG_PACKET, typestore=store)
        for number, is_key, data in encode('libx264', 6):
            out.write(topic, stamp(number), store.serialize_ros1(store.types[FFMPEG_PACKET](
                header=ros1_header(number), data=np.frombuffer(data, np.uint8), img_width=64,
                img_height=48, encoding='libx264', pts=number, flags=is_key), FFMPEG_PACKET))
    found, errors = read_frames(tmp_path / 'drive.bag')
    assert errors == []
    check_pictures(found, range(6))


def test_the_live_node_takes_no_videos_and_says_what_does(tmp_path):
    path = write_video(tmp_path / 'bag', FOXGLOVE_VIDEO, encode('libx264', 2), 'h264')
    with pytest.raises(ValueError, match='got foxglove_msgs/msg/CompressedVideo on /front/image_r'
                                         'aw/ffmpeg; segment it with `sparse_seg replay`'):
        find_images(path, None)


@pytest.mark.parametrize('transport', ['compressed', 'ffmpeg', 'foxglove', 'zstd'])
def test_outputs_lie_beside_the_image_and_not_below_it(transport):
    assert base_topic(f'/camera/image_raw/{transport}') == '/camera'
