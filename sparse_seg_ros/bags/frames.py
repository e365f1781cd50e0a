# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The frames of a bag: its images, with the true labels of their stamps.

A label belongs to the image of the same stamp, if one image and one label have that stamp. Drivers
that do not stamp write 0, and some repeat a stamp. Labels with such stamps are not scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rosbags.interfaces import Connection

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    IMAGE_TYPES,
    VIDEO_TYPES,
    BagDamageError,
    MessageError,
    header_of,
    parse,
    raw_stamp_nanoseconds,
)
from sparse_seg_ros.bags.video_topic import VideoTopic, refuse
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.fields import stamp_nanoseconds
from sparse_seg_ros.messages.pixels import to_labels, to_rgb

MAX_WAITING = 64  # labels in memory whose image has not come
Copy = Callable[[Connection, int, bytes], None]


class Stamps:
    """
    The stamps of images and labels in a bag, and which of them make pairs.

    unreadable: number of labels without a stamp that can be read.
    """

    def __init__(self, bag: Bag, image_topic: str, label_topic: str):
        self.images, self.labels, self.unreadable = Counter(), Counter(), 0
        counters = {image_topic: self.images, label_topic: self.labels}
        try:
            for connection, _, raw in bag.messages():
                if connection.topic in counters:
                    try:
                        counters[connection.topic][raw_stamp_nanoseconds(raw)] += 1
                    except MessageError:
                        self.unreadable += connection.topic == label_topic
        except BagDamageError:  # reported when the bag is replayed
            pass

    def make_pair(self, stamp: int) -> bool:
        """Tell whether one image and one label have this stamp."""
        return stamp != 0 and self.images[stamp] == 1 == self.labels[stamp]

    def describe(self, scored: int) -> str:
        """Say why labels were not scored; empty if all were."""
        total = self.labels.total()
        reasons = {
            'have stamp 0, which tells nothing': self.labels[0],
            'share their stamp with others': sum(
                count for stamp, count in self.labels.items()
                if stamp and self.images[stamp] and not self.make_pair(stamp)),
            'have no image of their stamp': sum(
                count for stamp, count in self.labels.items()
                if stamp and not self.images[stamp])}
        reasons['are invalid, or their image is, or came too far from it'] = \
            total - scored - sum(reasons.values())
        words = ', '.join(f'{count} {reason}' for reason, count in reasons.items() if count)
        return f'{total - scored} of {total} labels were not scored: {words}' if words else ''


@dataclass(frozen=True)
class BagHeader:
    """What a frame of a bag keeps of its message: log time in nanoseconds, and header."""

    nanoseconds: int
    header: Any = None


class BagFrames:
    """
    Frames of a bag that is open, in its order; every message passes through `copy` on the way.

    labels: where the true ones are found; None without. damage: None, or what the bag lacks, once
    all of it was read. Messages of other topics are not read.
    """

    def __init__(self, bag: Bag, images: Connection, max_pixels: int, copy: Copy,
                 labels: BagLabels | None = None):
        self.bag, self.images, self.max_pixels, self.copy = bag, images, max_pixels, copy
        self.labels, self.damage = labels, None

    def __len__(self) -> int:
        return self.images.msgcount

    def __iter__(self) -> Iterator[Frame]:
        self.video = VideoTopic(self.images.topic, self.max_pixels) \
            if self.images.msgtype in VIDEO_TYPES else None
        try:
            for connection, nanoseconds, raw in self.bag.messages():
                self.copy(connection, nanoseconds, raw)
                if (connection.topic, connection.msgtype) == \
                        (self.images.topic, self.images.msgtype):
                    yield from self.make_frames(nanoseconds, raw)
        except BagDamageError as damage:
            self.damage = str(damage)
        if self.video:
            yield from self.video.end()

    def make_frames(self, nanoseconds: int, raw: bytes) -> Iterator[Frame]:
        """Yield the frame of a message, whether it can be read or not; of videos, those ready."""
        source = f'{self.images.topic}, message at {nanoseconds} ns'
        try:
            message = parse(raw, self.images.msgtype)
        except MessageError as error:
            yield Frame(source, partial(refuse, error), header=BagHeader(nanoseconds))
            return
        header = header_of(message)
        stamp = stamp_nanoseconds(header)
        frame = Frame(source, partial(to_rgb, message, self.max_pixels),
                      partial(self.labels.find, stamp) if self.labels else None, stamp,
                      BagHeader(nanoseconds, header), name=str(stamp))
        yield from self.video.add(frame, message) if self.video else [frame]


class BagLabels:
    """Labels of a bag by their stamps, read beside the images, whichever of both comes first."""

    def __init__(self, bag: Bag, image_topic: str, topic: str):
        self.topic, self.stamps = topic, Stamps(bag, image_topic, topic)
        self.messages, self.waiting = self.read(bag), {}

    def read(self, bag: Bag) -> Iterator[tuple[int, str, bytes]]:
        """Yield stamp, type and bytes of the labels that belong to exactly one image."""
        try:
            for connection, _, raw in bag.messages():
                if connection.topic == self.topic and connection.msgtype in IMAGE_TYPES:
                    try:
                        stamp = raw_stamp_nanoseconds(raw)
                    except MessageError:
                        continue
                    if self.stamps.make_pair(stamp):
                        yield stamp, connection.msgtype, raw
        except BagDamageError:  # reported with the images
            pass

    def find(self, stamp: int) -> np.ndarray | None:
        """Stamp of an image -> (H, W) ids of its label; None if it has none of its own."""
        if not self.stamps.make_pair(stamp):
            return None
        while stamp not in self.waiting:
            found = next(self.messages, None)
            if found is None:
                return None
            self.waiting[found[0]] = found[1:]
            if len(self.waiting) > MAX_WAITING:
                self.waiting.pop(next(iter(self.waiting)))
        kind, raw = self.waiting.pop(stamp)
        return to_labels(parse(raw, kind)).copy()
