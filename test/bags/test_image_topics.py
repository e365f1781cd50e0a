# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera of a bag is found without --topic wherever only one can be meant."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_bags import COMPRESSED, START, TYPES, header, image, jpeg, labels, write_bag
from ros_fakes import make_image

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import FFMPEG_PACKET, FOXGLOVE_VIDEO, IMAGE, BagError
from sparse_seg_ros.bags.bag_sink import bag_image
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.image_topics import choose_images


def grey(number: int):
    """Return a raw grey frame."""
    return bag_image(header(number), make_image()[:, :, 0].copy(), 'mono8')


def depth(number: int):
    """Return a depth image."""
    return bag_image(header(number), np.ones((40, 60), np.float32), '32FC1')


def png(channels: int):
    """Return a function that makes compressed frames with 1 or 3 channels."""
    array = make_image() if channels == 3 else make_image()[:, :, 0].copy()
    data = cv2.imencode('.png', array)[1].ravel()
    return lambda number: TYPES.types[COMPRESSED](header=header(number), format='png', data=data)


def packed_depth(number: int):
    """Return a depth image as image_transport compresses it, with 12 bytes before its PNG."""
    data = cv2.imencode('.png', np.ones((40, 60), np.uint16))[1].ravel()
    return TYPES.types[COMPRESSED](header=header(number), format='16UC1; compressedDepth png',
                                   data=np.concatenate([np.zeros(12, np.uint8), data]))


def packet(encoding: str):
    """Return a function that makes video packets, each from a camera of an encoding."""
    return lambda number: TYPES.types[FFMPEG_PACKET](
        header=header(number), width=60, height=40, encoding=f'hevc;yuv420p;bgr8;{encoding}',
        pts=number, flags=1, is_bigendian=False, data=np.ones(9, np.uint8))


def video(number: int):
    """Return a packet of Foxglove."""
    about = header(number)
    return TYPES.types[FOXGLOVE_VIDEO](timestamp=about.stamp, frame_id='lens', format='h264',
                                       data=np.ones(9, np.uint8))


def choose(tmp_path, topics: dict, **wanted) -> str:
    path = write_bag(tmp_path / 'bag', topics)
    with Bag(path) as bag:
        return choose_images(bag, **wanted).topic


@pytest.mark.parametrize('others', [
    {'/front/label': labels}, {'/truth': labels}, {'/truth': png(1)}, {'/depth/image': depth},
    {'/front/segmentation/mask': labels, '/front/segmentation/overlay': image},
    {'/front/image_raw/compressed': jpeg}, {'/front/image_raw/ffmpeg': packet('rgb8')},
    {'/front/image_raw/foxglove': video, '/front/image_raw/compressed': jpeg},
    {'/front/image_mono': grey, '/front/image_rect': grey}, {'/thermal/ffmpeg': packet('mono8')},
    {'/depth/image/compressedDepth': packed_depth},
    {'/a': labels, '/b': depth, '/c': png(1)}], ids=list)
def test_the_only_topic_with_colours_is_the_camera(tmp_path, others):
    assert choose(tmp_path, {'/front/image_raw': image, **others}) == '/front/image_raw'


@pytest.mark.parametrize('topics', [
    {'/front/image_raw/compressed': jpeg, '/front/image_raw/compressedDepth': packed_depth},
    {'/front/image_raw/compressed': jpeg, '/front/image_raw/ffmpeg': packet('rgb8')},
    {'/front/image_raw/compressed': jpeg, '/front/image_raw/foxglove': video}], ids=list)
def test_of_twins_without_a_raw_topic_the_still_images_are_taken(tmp_path, topics):
    assert choose(tmp_path, topics) == '/front/image_raw/compressed'


@pytest.mark.parametrize('make', [image, jpeg, png(3), grey, video, packet('rgb8')])
def test_a_camera_alone_is_chosen_whatever_it_sends(tmp_path, make):
    assert choose(tmp_path, {'/x': make}) == '/x'
    with Bag(tmp_path / 'bag') as bag:
        assert choose_images(bag, labels='/y').topic == '/x'


def test_labels_that_are_named_leave_a_grey_camera(tmp_path):
    assert choose(tmp_path, {'/x': grey, '/truth': labels}, labels='/truth') == '/x'


@pytest.mark.parametrize('topics', [
    {'/left/image': image, '/right/image': image}, {'/left/image': grey, '/truth': labels},
    {'/left/image': jpeg, '/right/image': image, '/label': labels},
    {'/front/image_color': image, '/front/image_rect_color': image},
    {'/front/image_raw': image, '/front/image_rect_color/ffmpeg': packet('rgb8')},
    {'/left/ffmpeg': packet('rgb8'), '/right/foxglove': video}], ids=list)
def test_where_several_can_be_meant_all_are_listed(tmp_path, topics):
    names = ', '.join(sorted(topics))
    with pytest.raises(BagError, match=f'{len(topics)} image topics; choose one with --topic: '
                                       f'{names}'):
        choose(tmp_path, topics)


def test_a_topic_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    with pytest.raises(BagError, match='no image topic /rear/image; it has /front/image'):
        choose(tmp_path, {'/front/image': image}, topic='/rear/image')


def test_a_bag_without_images_lists_its_topics(tmp_path):
    with pytest.raises(BagError, match='no image topic; its topics: /front/l'):
        choose(tmp_path, {'/front/label': labels}, labels='/front/label')


def write_connections(path, connections: list) -> None:
    """Write (topic, type, messages) where a topic may have two types, or no messages."""
    with BagWriter(path) as out:
        for topic, kind, messages in connections:
            connection = out.writer.add_connection(topic, kind, typestore=TYPES)
            for message in messages:
                out.put(connection, START, TYPES.serialize_cdr(message, kind))


def test_a_topic_without_messages_is_passed_over(tmp_path):
    write_connections(tmp_path / 'bag', [('/a/image', IMAGE, []), ('/b/image', IMAGE, [image(0)])])
    with Bag(tmp_path / 'bag') as bag:
        assert choose_images(bag).topic == '/b/image'
        assert choose_images(bag, '/a/image').msgcount == 0


def test_of_two_types_on_one_topic_the_one_with_more_images_is_taken(tmp_path):
    write_connections(tmp_path / 'bag', [
        ('/image', 'std_msgs/msg/Header', [header(0)] * 5),
        ('/image', IMAGE, [image(0)]), ('/image', COMPRESSED, [jpeg(0), jpeg(1)])])
    with Bag(tmp_path / 'bag') as bag:
        assert choose_images(bag).msgtype == COMPRESSED


REAL = Path(os.environ.get('SPARSE_SEG_DATA', Path(__file__).parents[3] / 'shared/data')) / 'bags'


@pytest.mark.skipif(not REAL.is_dir(), reason='no bags under SPARSE_SEG_DATA')
def test_the_camera_of_a_real_bag_is_found_and_all_its_messages_come():
    for path in REAL.iterdir():
        with Bag(path) as bag:
            images = choose_images(bag)
            topics = [connection.topic for connection, _, _ in bag.messages()]
            assert images.topic == '/camera/image_raw/compressed' and not bag.notes
            assert topics.count(images.topic) == images.msgcount > 0
            assert len(topics) == bag.message_count
