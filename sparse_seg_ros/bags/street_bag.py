# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A rendered drive as the bag of a camera, with the true labels beside the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from sparse_seg_ros.bags.bag_messages import IMAGE
from sparse_seg_ros.bags.bag_sink import bag_image
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.inputs import START_NANOSECONDS, make_header
from sparse_seg_ros.data.street import Street

IMAGE_TOPIC, LABEL_TOPIC = '/camera/image_raw', '/camera/label'


def write_street_bag(path: Path, street: Street, frames: int,
                     progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Render the first frames of a street as rgb8 images and mono8 labels -> path of the bag."""
    with BagWriter(path) as bag:
        for index in progress(range(frames)):
            frame = street.frame(index)
            stamp = START_NANOSECONDS + round(frame.time_seconds * 1e9)
            header = make_header(stamp)
            bag.write(IMAGE_TOPIC, IMAGE, stamp, bag_image(header, frame.image, 'rgb8'))
            bag.write(LABEL_TOPIC, IMAGE, stamp, bag_image(header, frame.label, 'mono8'))
    return path
