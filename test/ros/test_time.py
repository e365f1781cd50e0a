# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps that go back: out of order, and where a bag starts again."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from ros_faults import status
from ros_images import OLD_STAMP, connect, image, serve, set_clock
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from sparse_seg_ros.stream.health import LAST_AGE, frames_task


def later(seconds: float) -> Time:
    """Return a stamp of a bag, so many seconds after its start."""
    nanoseconds = OLD_STAMP.nanosec + round(seconds * 1e9)
    return Time(sec=OLD_STAMP.sec + nanoseconds // 10 ** 9, nanosec=nanoseconds % 10 ** 9)


def last_age(node) -> str:
    return status(node, frames_task()).values[LAST_AGE]


def test_images_out_of_order_are_each_published_under_their_own_stamp(ros):
    node = ros.segmentation()
    node.autostart()
    publisher, masks = connect(ros), ros.collect(Image, 'segmentation/mask', 10)
    ros.wait(node.cameras['camera'].publishers['mask'].get_subscription_count)
    now = node.get_clock().now()
    stamps = [(now - Duration(seconds=age)).to_msg() for age in (0.3, 0.1, 0.2, 0.2)]
    for number, stamp in enumerate(stamps, 1):
        assert serve(ros, node, publisher, image(stamp=stamp)).published == number
        assert float(last_age(node)) >= 0
    ros.wait(lambda: len(masks) == len(stamps))
    assert [mask.header.stamp for mask in masks] == stamps


def test_where_a_bag_starts_again_its_images_are_published_as_soon_as_the_clock_is_back(ros):
    node = ros.segmentation(use_sim_time=True)
    node.autostart()
    publisher, clock = connect(ros), ros.peer.create_publisher(Clock, '/clock', 1)
    for turn in range(3):
        if turn:  # an image of the new turn may come before its clock
            early = serve(ros, node, publisher, image(stamp=later(0.0)))
            assert early.stale == turn and 'behind the clock' in last_age(node)
        for seconds in (0.0, 7200.0):
            set_clock(ros, node, clock, later(seconds + 0.01))
            counts = serve(ros, node, publisher, image(stamp=later(seconds)))
            assert last_age(node) == '0.0100'
        assert counts.published == 2 * (turn + 1)
    assert status(node, frames_task()).level == 'WARN'  # of the images before the clock


def test_a_jump_of_the_clock_leaves_no_frame_waiting(ros):
    node = ros.segmentation(use_sim_time=True)
    node.autostart()
    publisher, clock = connect(ros), ros.peer.create_publisher(Clock, '/clock', 1)
    for seconds in (100.0, 0.0, 50.0, 1.0):
        set_clock(ros, node, clock, later(seconds))
        counts = serve(ros, node, publisher, image(stamp=later(seconds)))
        assert counts.waiting == 0 and node.slots.stuck_seconds() == 0.0
    assert (counts.received, counts.published) == (4, 4)
