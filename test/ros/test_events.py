# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Topics that go while an executor is about to wait for their events."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip('rclpy')

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from sensor_msgs.msg import Image

AS_ON_HUMBLE = """
import sys, types
import rclpy.event_handler as later
old = types.ModuleType('rclpy.qos_event')
old.SubscriptionEventCallbacks = later.SubscriptionEventCallbacks
old.PublisherEventCallbacks = later.PublisherEventCallbacks
old.QoSEventHandler = later.EventHandler
import rclpy.executors, rclpy.lifecycle, rclpy.lifecycle.node, rclpy.node
sys.modules |= {'rclpy.event_handler': None, 'rclpy.qos_event': old}
import sparse_seg_ros.ros.run_node, sparse_seg_ros.ros.node, sparse_seg_ros.ros.probe
"""


def test_the_topics_of_the_node_can_go_while_an_executor_is_about_to_wait_for_them(ros):
    node = ros.segmentation()
    node.trigger_configure()
    camera = node.cameras['camera']
    handlers = [handler for topic in (camera.subscription, *camera.publishers.values())
                for handler in topic.event_handlers]
    node.trigger_cleanup()
    assert len(handlers) > len(camera.publishers)
    for handler in handlers:
        handler.add_to_wait_set(None)


def test_events_of_rclpy_itself_raise_then(ros):
    topic = ros.peer.create_subscription(Image, 'image', print, 1,
                                         event_callbacks=SubscriptionEventCallbacks())
    handler = topic.event_handlers[0]
    ros.peer.destroy_subscription(topic)
    with pytest.raises(InvalidHandle):  # once it does not, ros/events.py is not needed
        handler.add_to_wait_set(None)


def test_the_node_finds_events_where_humble_has_them():
    done = subprocess.run([sys.executable, '-c', AS_ON_HUMBLE], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
