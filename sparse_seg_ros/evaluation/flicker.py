# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How steady labels are: those of a frame are carried to the next one by optical flow.

Flicker of a class: fraction of its pixels that become another class where the flow can be
trusted. Temporal consistency: mean IoU of the carried labels and those of the frame (Liu et al.
2020, "Efficient Semantic Video Segmentation with Per-frame Inference", section 4). No truth is
needed. A network that is always wrong in the same way is steady, so look at accuracy, too.
"""

from __future__ import annotations

import cv2
import numpy as np

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.prediction import Prediction

LARGEST_SIDE = 512  # pixels; flow is measured, and labels are compared, on images this small
LONGEST_GAP = 500_000_000  # nanoseconds; frames further apart do not follow each other
ROUND_TRIP = 1.0  # pixels, to the frame before and back, beyond which flow is not trusted


class Flicker:
    """
    Counts pairs of frames that follow each other: a sink of the loop.

    matrix: rows are the carried labels, columns those of the frame. pairs: number of pairs.
    """

    def __init__(self, num_classes: int):
        self.matrix, self.pairs = ConfusionMatrix(num_classes), 0
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.before: tuple[int, np.ndarray, np.ndarray] | None = None  # stamp, grey, labels

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Compare a frame with the one before it, if they follow each other."""
        now = frame.stamp, *shrink(image, seen.labels)
        before, self.before = self.before, now
        if before is None or not 0 < now[0] - before[0] <= LONGEST_GAP \
                or now[1].shape != before[1].shape:
            return
        self.matrix.add(now[2], self.carry(before, now[1]))
        self.pairs += 1

    def carry(self, before: tuple[int, np.ndarray, np.ndarray], grey: np.ndarray) -> np.ndarray:
        """Frame before, (H, W) grey of this one -> (H, W) labels from before; void: no trust."""
        _, former_grey, former_labels = before
        back, forth = (self.flow.calc(one, other, np.zeros((*grey.shape, 2), np.float32))
                       for one, other in ((grey, former_grey), (former_grey, grey)))
        columns, rows = np.meshgrid(*(np.arange(side, dtype=np.float32)
                                      for side in grey.shape[::-1]))
        was = columns + back[..., 0], rows + back[..., 1]  # where each pixel was
        returned = cv2.remap(forth, *was, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                             borderValue=(np.inf, np.inf))
        carried = cv2.remap(former_labels, *was, cv2.INTER_NEAREST,
                            borderMode=cv2.BORDER_CONSTANT, borderValue=(VOID,))
        with np.errstate(invalid='ignore'):
            is_trusted = np.hypot(*np.moveaxis(back + returned, 2, 0)) <= ROUND_TRIP
        return np.where(is_trusted, carried, np.uint8(VOID))

    def __add__(self, other: Flicker) -> Flicker:
        """Return the counts of both."""
        both = Flicker(len(self.matrix.counts))
        both.matrix, both.pairs = self.matrix + other.matrix, self.pairs + other.pairs
        return both

    def of_classes(self) -> np.ndarray:
        """(C,) in [0, 1]: fraction of the pixels that change class; nan for classes not seen."""
        return 1 - self.matrix.class_accuracy()

    def fraction(self) -> float:
        """Return the fraction of all pixels that change class; nan without pairs."""
        return 1 - self.matrix.accuracy() if self.matrix.counts.any() else float('nan')

    def consistency(self) -> float:
        """Return the temporal consistency, in [0, 1]; nan without pairs."""
        return self.matrix.mean_iou()


def shrink(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) RGB, (H, W) ids -> (h, w) uint8 grey, (h, w) ids, by a whole number of pixels."""
    step = -(-max(labels.shape) // LARGEST_SIDE)
    labels = np.ascontiguousarray(labels[step // 2::step, step // 2::step])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, labels.shape[::-1], interpolation=cv2.INTER_AREA), labels
