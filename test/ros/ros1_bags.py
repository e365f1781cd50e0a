# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of ROS 1 for tests, written by rosbags."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from ros_bags import PERIOD, START
from ros_fakes import make_image
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
MARKER, SPEED = 'visualization_msgs/msg/Marker', 'my_msgs/msg/Speed'
TYPES = get_typestore(Stores.ROS1_NOETIC)
TYPES.register(get_types_from_msg('Header header\nfloat32[] wheels\nmy_msgs/Part part\n'
                                  f'{"=" * 80}\nMSG: my_msgs/Part\nstring name\ntime since',
                                  SPEED))


def header(number: int):
    """Return the header of frame number."""
    seconds, nanoseconds = divmod(START + number * PERIOD, 10 ** 9)
    make = TYPES.types
    return make['std_msgs/msg/Header'](
        seq=number, frame_id='lens',
        stamp=make['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds))


def image(number: int):
    """Return raw frame number."""
    array = make_image(seed=number)
    height, width, _ = array.shape
    return TYPES.types[IMAGE](header=header(number), height=height, width=width, encoding='rgb8',
                              is_bigendian=0, step=3 * width, data=array.reshape(-1))


def jpeg(number: int):
    """Return compressed frame number."""
    data = cv2.imencode('.jpg', make_image(seed=number)[:, :, ::-1])[1]
    return TYPES.types[COMPRESSED](header=header(number), format='jpeg', data=data)


def speed(number: int):
    """Return a message of a type that no ROS 2 has."""
    part = TYPES.types['my_msgs/msg/Part'](name=f'part {number}', since=header(number).stamp)
    return TYPES.types[SPEED](header=header(number), part=part,
                              wheels=np.arange(number, dtype=np.float32))


def write_ros1_bag(path: Path, topics: dict, frames: int = 3, compression: str | None = None,
                   chunk_bytes: int = 50_000) -> Path:
    """Write a bag; topics is topic -> (type, function of the frame number -> message)."""
    writer = Writer(path)
    writer.chunk_threshold = chunk_bytes
    if compression:
        writer.set_compression(Writer.CompressionFormat[compression.upper()])
    with writer as out:
        connections = {topic: out.add_connection(topic, kind, typestore=TYPES,
                                                 latching=int(topic == '/latched'))
                       for topic, (kind, _) in topics.items()}
        for number in range(frames):
            for topic, (kind, make) in topics.items():
                raw = make(number)
                if not isinstance(raw, bytes):
                    raw = TYPES.serialize_ros1(raw, kind)
                out.write(connections[topic], START + number * PERIOD + 5_000, raw)
    return path
