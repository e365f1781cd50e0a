# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Video streams in bags for tests, each message a packet, encoded by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from ros_bags import PERIOD, START, TYPES, header, write_raw
from ros_fakes import make_image

from sparse_seg_ros.bags.bag_messages import FFMPEG_PACKET, FOXGLOVE_IMAGE, FOXGLOVE_VIDEO

KEY_FRAME_EVERY = 4
LIVE = {'libx264': {'tune': 'zerolatency', 'x264-params': 'repeat-headers=1:scenecut=0'},
        'libx265': {'x265-params': 'log-level=none:repeat-headers=1:bframes=0:scenecut=0'}}


def pictures(count: int) -> list[np.ndarray]:
    """Return pictures that a codec keeps well."""
    return [cv2.GaussianBlur(make_image(48, 64, number), (0, 0), 3) for number in range(count)]


def encode(codec: str, count: int, options: dict | None = None) -> list[tuple[int, bool, bytes]]:
    """Return (number of the picture, whether it is a key frame, packet) in coding order."""
    context = av.CodecContext.create(codec, 'w')
    context.width, context.height, context.pix_fmt = 64, 48, 'yuv420p'
    context.time_base, context.gop_size = Fraction(1, 10), KEY_FRAME_EVERY
    context.options = LIVE[codec] if options is None else options
    packets = []
    for number, picture in enumerate(pictures(count)):
        frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
        frame.pts = number
        packets += context.encode(frame)
    return [(each.pts, each.is_keyframe, bytes(each))
            for each in [*packets, *context.encode(None)]]


def foxglove(number: int, data: bytes, name: str, kind: str = FOXGLOVE_VIDEO):
    """Return a message of Foxglove with the stamp of a frame."""
    about = header(number)
    return TYPES.types[kind](timestamp=about.stamp, frame_id=about.frame_id, format=name,
                             data=np.frombuffer(data, np.uint8))


def foxglove_image(number: int, suffix: str):
    """Return a still picture in a message of Foxglove."""
    data = cv2.imencode(suffix, make_image(seed=number)[:, :, ::-1])[1].tobytes()
    return foxglove(number, data, suffix[1:], FOXGLOVE_IMAGE)


def ffmpeg(number: int, is_key: bool, data: bytes, encoding: str):
    """Return a message of ffmpeg_image_transport."""
    return TYPES.types[FFMPEG_PACKET](
        header=header(number), width=64, height=48, encoding=encoding, pts=number,
        flags=int(is_key), is_bigendian=False, data=np.frombuffer(data, np.uint8))


def write_video(path: Path, kind: str, packets: list[tuple[int, bool, bytes]], name: str,
                topic: str = '/front/image_raw/ffmpeg') -> Path:
    """Write packets as the messages of one topic."""
    write_raw(path, [(topic, kind, foxglove(number, data, name) if kind == FOXGLOVE_VIDEO
                      else ffmpeg(number, is_key, data, name))
                     for number, is_key, data in packets])
    return path


def stamp(number: int) -> int:
    """Return the stamp of a frame in nanoseconds."""
    return START + number * PERIOD
