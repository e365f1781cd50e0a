# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks in a bag, by the stamps of their images: what a node or a replay has predicted."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    IMAGE_TYPES,
    LABEL_INFO,
    BagError,
    parse,
    raw_stamp_nanoseconds,
)
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.pixels import to_labels

FAST = 1  # zlib: masks are large areas of one number


class RecordedBag:
    """
    The masks of a bag, compressed in memory.

    topic: of the masks; None: the only one that ends in segmentation/mask. names: of the classes,
    where the bag has them in a LabelInfo; else empty. Raises ValueError without such a topic.
    """

    def __init__(self, path: Path, topic: str | None = None):
        self.masks: dict[int, tuple[tuple[int, ...], bytes]] = {}
        self.names: tuple[str, ...] = ()
        with Bag(path) as bag:
            topics = {each.topic for each in bag.connections if each.msgtype in IMAGE_TYPES}
            self.topic = topic or the_only([
                each for each in topics if each.endswith('segmentation/mask')], path, topics)
            for connection, _, raw in bag.messages():
                if connection.topic == self.topic:
                    ids = to_labels(parse(raw, connection.msgtype))
                    self.masks[raw_stamp_nanoseconds(raw)] = \
                        ids.shape, zlib.compress(ids.tobytes(), FAST)
                elif connection.msgtype == LABEL_INFO and not self.names:
                    classes = parse(raw, LABEL_INFO).class_map
                    self.names = tuple(each.class_name for each in sorted(
                        classes, key=lambda each: each.class_id))

    def find(self, frame: Frame) -> np.ndarray | None:
        """Return the (H, W) uint8 ids of a frame; None without a mask of its stamp."""
        return self.mask(frame.stamp) if frame.stamp in self.masks else None

    def mask(self, stamp: int) -> np.ndarray:
        """Return the (H, W) uint8 ids of a stamp."""
        shape, data = self.masks[stamp]
        return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)


def the_only(masks: list[str], path: Path, topics: set[str]) -> str:
    """Return the only topic of masks; BagError where there is none, or several."""
    if len(masks) != 1:
        raise BagError(f'bag {path} must have one topic of masks, got '
                       f'{", ".join(sorted(masks)) or "none"}; name it with --mask; its image '
                       f'topics: {", ".join(sorted(topics)) or "none"}')
    return masks[0]
