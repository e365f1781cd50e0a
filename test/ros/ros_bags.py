# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags for tests, written without ROS."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from ros_fakes import make_image

from sparse_seg_ros.ros import bag as bags
from sparse_seg_ros.ros.replay import bag_image

START, PERIOD = 1_700_000_000_123_456_789, 100_000_000


def header(number: int):
    """Return the header of frame number."""
    seconds, nanoseconds = divmod(START + number * PERIOD, 10 ** 9)
    make = bags.TYPES.types
    return make['std_msgs/msg/Header'](
        stamp=make['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds),
        frame_id='lens')


def image(number: int):
    """Return raw frame number."""
    return bag_image(header(number), make_image(seed=number), 'rgb8')


def jpeg(number: int, end: int | None = None):
    """Return compressed frame number."""
    data = cv2.imencode('.jpg', make_image(seed=number)[:, :, ::-1])[1]
    return bags.TYPES.types[bags.COMPRESSED](header=header(number), format='jpeg',
                                             data=data[:end])


def labels(number: int):
    """Return the true labels of frame number, the first row void."""
    truth = (make_image(seed=number)[:, :, 1] > 127).astype(np.uint8)
    truth[0] = 255
    return bag_image(header(number), truth, 'mono8')


def write_bag(path: Path, topics: dict, frames: int = 3, storage: str = 'mcap') -> Path:
    """Write a bag; topics is topic -> function of the frame number -> message."""
    with bags.BagWriter(path, storage) as out:
        for number in range(frames):
            for topic, make in topics.items():
                message = make(number)
                kind = type(message).__name__.replace('__msg__', '/msg/').replace(
                    'sensor_msgs/msg/sensor_msgs/msg/', 'sensor_msgs/msg/')
                out.write(topic, kind, START + number * PERIOD + 5_000, message)
    return path


def read_bag(path: Path) -> dict[str, list]:
    """Bag -> topic -> [(log time, message)]."""
    found = {}
    with bags.Bag(path) as bag:
        for connection, nanoseconds, raw in bag.messages():
            found.setdefault(connection.topic, []).append(
                (nanoseconds, bags.parse(raw, connection.msgtype)))
    return found
