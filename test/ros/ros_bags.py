# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags for tests, written without ROS."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_fakes import make_image, make_segmenter

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import COMPRESSED, TYPES, BagDamageError, parse
from sparse_seg_ros.bags.bag_sink import bag_image
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.replay import Replay, ReplayJob

START, PERIOD = 1_700_000_000_123_456_789, 100_000_000


def header(number: int):
    """Return the header of frame number."""
    seconds, nanoseconds = divmod(START + number * PERIOD, 10 ** 9)
    make = TYPES.types
    return make['std_msgs/msg/Header'](
        stamp=make['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds),
        frame_id='lens')


def image(number: int):
    """Return raw frame number."""
    return bag_image(header(number), make_image(seed=number), 'rgb8')


def jpeg(number: int, end: int | None = None):
    """Return compressed frame number."""
    data = cv2.imencode('.jpg', make_image(seed=number)[:, :, ::-1])[1]
    return TYPES.types[COMPRESSED](header=header(number), format='jpeg',
                                             data=data[:end])


def labels(number: int):
    """Return the true labels of frame number, the first row void."""
    truth = (make_image(seed=number)[:, :, 1] > 127).astype(np.uint8)
    truth[0] = 255
    return bag_image(header(number), truth, 'mono8')


def type_name(message) -> str:
    """Return pkg/msg/Name of a message of rosbags."""
    package, _, name = type(message).__name__.partition('__msg__')
    return f'{package}/msg/{name}'


def write_bag(path: Path, topics: dict, frames: int = 3, storage: str = 'mcap', **settings
              ) -> Path:
    """Write a bag; topics is topic -> function of the frame number -> message."""
    with BagWriter(path, storage, **settings) as out:
        for number in range(frames):
            for topic, make in topics.items():
                message = make(number)
                out.write(topic, type_name(message), START + number * PERIOD + 5_000, message)
    return path


def data_file(path: Path) -> Path:
    """Return the only data file of a bag."""
    file, = [each for each in path.iterdir() if each.suffix in ('.mcap', '.db3', '.zstd')]
    return file


def read_bag(path: Path) -> dict[str, list]:
    """Bag -> topic -> [(log time, message)]."""
    found = {}
    with Bag(path) as bag:
        for connection, nanoseconds, raw in bag.messages():
            found.setdefault(connection.topic, []).append(
                (nanoseconds, parse(raw, connection.msgtype)))
    return found


def read_raw(path: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Bag -> topic -> [(log time, bytes)]."""
    found = {}
    with Bag(path) as bag:
        for connection, nanoseconds, raw in bag.messages():
            found.setdefault(connection.topic, []).append((nanoseconds, raw))
    return found


def read_damaged(path: Path) -> tuple[list[int], str]:
    """Bag that is not whole -> (log times of what could be read, the words about the rest)."""
    times = []
    with Bag(path) as bag, pytest.raises(BagDamageError) as damage:
        for _, nanoseconds, _ in bag.messages():
            times.append(nanoseconds)
    return times, str(damage.value)


def write_raw(path: Path, items: list) -> None:
    """Write (topic, type, bytes or message) in their order."""
    with BagWriter(path) as out:
        for place, (topic, kind, message) in enumerate(items):
            raw = message if isinstance(message, bytes) else TYPES.serialize_cdr(message, kind)
            out.write_raw(topic, kind, START + place, raw)


def replay(bag: Path, output: Path, **settings) -> dict:
    """Replay a bag with the fake model -> report."""
    return Replay(ReplayJob(bag, output, **settings), make_segmenter()).run()
