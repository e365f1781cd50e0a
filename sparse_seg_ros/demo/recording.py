# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recording of the demo, frame by frame: images and the node's results of equal stamp."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import parse, raw_stamp_nanoseconds
from sparse_seg_ros.messages.pixels import to_labels, to_rgb
from sparse_seg_ros.messages.status import REFINED, read_array, read_milliseconds

ANSWERS = ('mask', 'uncertainty', 'overlay', 'refined')


@dataclass(frozen=True)
class Shown:
    """One frame to show: pictures, times and how much of it was refined."""

    stamp: int
    pictures: dict[str, np.ndarray]  # image, mask, uncertainty, overlay, refined
    milliseconds: dict[str, float]
    refined: float


class Recording:
    """
    An index of the recorded bag.

    complete: stamps, in order, of the frames that have an image, all answers and times.
    """

    def __init__(self, path: Path, image_topic: str):
        self.path = path
        self.topics = {image_topic: 'image', '/segmentation/timing': 'timing',
                       **{f'/segmentation/{name}': name for name in ANSWERS}}
        self.milliseconds: dict[int, dict[str, float]] = {}
        self.refined: dict[int, float] = {}
        stamps: dict[str, set[int]] = {name: set() for name in self.topics.values()}
        with Bag(path) as bag:
            for connection, _, raw in bag.messages():
                name, stamp = self.topics[connection.topic], raw_stamp_nanoseconds(raw)
                stamps[name].add(stamp)
                if name == 'timing':
                    self.add_times(stamp, parse(raw, connection.msgtype))
        self.complete = sorted(set.intersection(*stamps.values()))

    def add_times(self, stamp: int, message: Any) -> None:
        """Read one message of ~/timing."""
        status, = read_array(message)
        self.milliseconds[stamp] = read_milliseconds(status)
        self.refined[stamp] = float(status.values[REFINED])

    def read(self, stamps: Iterable[int]) -> list[Shown]:
        """Read the pictures of some frames."""
        pictures: dict[int, dict[str, np.ndarray]] = {stamp: {} for stamp in stamps}
        with Bag(self.path) as bag:
            for connection, _, raw in bag.messages():
                name, stamp = self.topics[connection.topic], raw_stamp_nanoseconds(raw)
                if stamp in pictures and name != 'timing':
                    pictures[stamp][name] = to_array(name, parse(raw, connection.msgtype))
        return [Shown(stamp, found, self.milliseconds[stamp], self.refined[stamp])
                for stamp, found in pictures.items()]


def to_array(name: str, message: Any) -> np.ndarray:
    """Message -> (H, W, 3) uint8 RGB, (H, W) uint8 ids, or (H, W) float32 uncertainty."""
    if name == 'uncertainty':
        return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)
    return (to_labels if name in ('mask', 'refined') else to_rgb)(message).copy()
