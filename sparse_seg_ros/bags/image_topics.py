# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topic of a bag is the camera's: the one rule of replay and demo."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rosbags.interfaces import Connection

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    IMAGE_TYPES,
    TRANSPORTS,
    BagDamageError,
    BagError,
    MessageError,
    parse,
    raw_topic,
)
from sparse_seg_ros.data.picture_bytes import PNG_START
from sparse_seg_ros.stream.outputs import OUTPUTS

ONE_CHANNEL = re.compile(r'mono\d+$|\d+[USF]C1$', re.IGNORECASE)
PNG_COLOUR_TYPE, PNG_COLOURED = 25, (2, 6)  # its place in a file, and those with colours


def choose_images(bag: Bag, topic: str | None = None, labels: str | None = None) -> Connection:
    """
    Return the chosen image topic, or the only one that can be the camera's.

    Of several topics, those without messages, the label topic, outputs of this package and the
    all but the best of what image_transport makes of a topic are passed over; then those whose
    images have no colours.
    """
    images = [each for each in bag.connections
              if each.msgtype in IMAGE_TYPES and each.topic != labels]
    if not images:
        topics = ', '.join(sorted({each.topic for each in bag.connections}))
        raise BagError(f'bag {bag.path} has no image topic; its topics: {topics or "none"}')
    names = sorted({each.topic for each in images})
    if topic is not None and topic not in names:
        raise BagError(f'bag {bag.path} has no image topic {topic}; it has {", ".join(names)}')
    chosen = topic or the_only(bag, images)
    if chosen is None:
        raise BagError(f'bag {bag.path} has {len(names)} image topics; choose one with '
                       f"--topic: {', '.join(names)}")
    return max((each for each in images if each.topic == chosen), key=lambda each: each.msgcount)


def the_only(bag: Bag, images: list[Connection]) -> str | None:
    """Return the one topic that can be a camera's; None where several can."""
    names = {each.topic for each in images if each.msgcount} or {each.topic for each in images}
    names = {name for name in names if not is_output(name)} or names
    names = best_twins(names)
    if len(names) > 1:
        names = coloured(bag, names)
    return names.pop() if len(names) == 1 else None


def best_twins(topics: Iterable[str]) -> set[str]:
    """Return one topic of each camera: raw images, or the best of what image_transport made."""
    best: dict[str, str] = {}
    for topic in sorted(topics, key=lambda topic: 0 if raw_topic(topic) == topic else
                        1 + TRANSPORTS.index(topic.rpartition('/')[2])):
        best.setdefault(raw_topic(topic), topic)
    return set(best.values())


def is_output(topic: str) -> bool:
    """Tell the topics that this package publishes."""
    namespace, _, name = topic.rpartition('/')
    return namespace.endswith('/segmentation') and name in OUTPUTS


def coloured(bag: Bag, topics: Iterable[str]) -> set[str]:
    """Return those topics whose first image has colours."""
    unknown, found = set(topics), set()
    try:
        for connection, _, raw in bag.messages():
            if connection.topic in unknown and connection.msgtype in IMAGE_TYPES:
                try:
                    message = parse(raw, connection.msgtype)
                except MessageError:
                    continue
                unknown.remove(connection.topic)
                found |= {connection.topic} if is_coloured(message) else set()
            if not unknown:
                break
    except BagDamageError:  # reported when the whole bag is read
        pass
    return found


def is_coloured(message: Any) -> bool:
    """Tell whether an image can show colours: labels, depth and masks cannot; any JPEG can."""
    if not hasattr(message, 'format'):  # of a packet, the last word is the camera's encoding
        return not ONE_CHANNEL.match(message.encoding.rpartition(';')[2])
    data = bytes(message.data[:PNG_COLOUR_TYPE + 1])
    if 'compresseddepth' in message.format.lower():
        return False
    return not data.startswith(PNG_START) or data[-1] in PNG_COLOURED
