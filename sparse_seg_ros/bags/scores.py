# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Predictions of a replay against the true labels in its bag, paired by stamp.

A stamp says which image a label belongs to only if each has it once: drivers that do not stamp
write 0, and some repeat a stamp. Labels with such stamps are not scored.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import BagDamageError, MessageError, raw_stamp_nanoseconds
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.labels import LabelSet

MAX_WAITING = 64  # frames in memory whose other half has not come


class Stamps:
    """The stamps of images and labels in a bag, and which of them make pairs."""

    def __init__(self, bag: Bag, image_topic: str, label_topic: str):
        self.images, self.labels = Counter(), Counter()
        counters = {image_topic: self.images, label_topic: self.labels}
        try:
            for connection, _, raw in bag.messages():
                if connection.topic in counters:
                    try:
                        counters[connection.topic][raw_stamp_nanoseconds(raw)] += 1
                    except MessageError:  # counted as invalid when its turn comes
                        continue
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


class Scores:
    """Pairs predictions and true labels by stamp, in whatever order they come."""

    def __init__(self, num_classes: int, stamps: Stamps):
        self.matrix, self.pairs, self.stamps = ConfusionMatrix(num_classes), 0, stamps
        self.waiting: dict[tuple[str, int], np.ndarray] = {}

    def add(self, kind: str, stamp: int, labels: np.ndarray) -> None:
        """Add a 'prediction' or 'truth' of (H, W) uint8; ValueError where the two do not fit."""
        if not self.stamps.make_pair(stamp):
            return
        other = ('truth' if kind == 'prediction' else 'prediction', stamp)
        if other in self.waiting:
            pair = {kind: labels, other[0]: self.waiting.pop(other)}
            self.matrix.add(pair['prediction'], pair['truth'])
            self.pairs += 1
            return
        self.waiting[kind, stamp] = labels
        if len(self.waiting) > MAX_WAITING:
            self.waiting.pop(next(iter(self.waiting)))

    def report(self, labels: LabelSet) -> dict[str, Any]:
        """Return the numbers of a report; None for what no pixel tells."""
        return {'scored': self.pairs, 'unscored': self.stamps.labels.total() - self.pairs,
                'miou': rounded(self.matrix.mean_iou()),
                'iou': {name: rounded(iou) for name, iou in
                        zip(labels.names, self.matrix.iou(), strict=True)}}


def rounded(value: float) -> float | None:
    """Return a figure of the report; None for not-a-number."""
    return None if np.isnan(value) else round(float(value), 5)
