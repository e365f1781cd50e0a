# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages for tests of the node."""

from __future__ import annotations

import time

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_fakes import make_image
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sparse_seg_ros.messages.fields import image_message
from sparse_seg_ros.ros.events import OutputEvents

OLD_STAMP = Time(sec=1700000000, nanosec=123456789)  # as in a bag


def now() -> Time:
    """Return a stamp of this moment."""
    seconds, nanoseconds = divmod(time.time_ns(), 10 ** 9)
    return Time(sec=seconds, nanosec=nanoseconds)


def image(array: np.ndarray | None = None, stamp: Time | None = None, encoding: str = 'rgb8',
          **changed) -> Image:
    """Return an Image, taken now unless told; changed fields make it a bad one."""
    array = make_image() if array is None else array
    message = image_message(Image, Header(frame_id='lens', stamp=stamp or now()), array, 'rgb8')
    message.encoding = encoding
    for name, value in changed.items():
        setattr(message, name, value)
    return message


def jpeg(end: int | None = None) -> CompressedImage:
    """Return a CompressedImage, truncated if an end is given."""
    data = cv2.imencode('.jpg', make_image()[:, :, ::-1])[1].tobytes()[:end]
    message = CompressedImage(header=Header(frame_id='lens', stamp=now()), format='jpeg')
    message.data.frombytes(data)
    return message


def profile(reliability: str) -> QoSProfile:
    """Return a profile of depth 1."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability])


def connect(ros, message_type=Image, topic: str = 'image', reliability: str = 'RELIABLE'):
    """Return a publisher of the peer that the node listens to."""
    publisher = ros.peer.create_publisher(
        message_type, topic, profile(reliability),
        event_callbacks=OutputEvents(use_default_callbacks=False))
    ros.wait(publisher.get_subscription_count, f'a subscription to {topic}')
    return publisher


def serve(ros, node, publisher, message, camera: str = 'camera'):
    """Publish a message and wait until its outcome is known -> counters."""
    before = node.slots.counters(camera).settled
    publisher.publish(message)
    ros.wait(lambda: node.slots.counters(camera).settled > before, 'the outcome of a frame')
    return node.slots.counters(camera)


def set_clock(ros, node, clock, stamp: Time) -> None:
    """Publish simulated time until the node has it."""
    def tick():
        clock.publish(Clock(clock=stamp))
        ros.wait_at_most(0.2, lambda: node.get_clock().now().to_msg() == stamp)
        return node.get_clock().now().to_msg() == stamp

    ros.wait(tick, 'simulated time')
