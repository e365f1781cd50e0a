# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well the boundaries of classes are met: boundary F1 and boundary IoU.

Boundary F1 is Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?":
a pixel of a class with another class beside it is met where the other image has such a pixel of
this class within 0.75 % of the diagonal. It counts over all frames, not frame by frame. Boundary
IoU is Cheng et al. 2021, "Boundary IoU": the intersection over union of the pixels within 2 % of
the diagonal of the border of their class. There the border of the image counts, in F1 it does not.
Void is as outside of the image in both.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from sparse_seg_ros.evaluation.counting import Sums, count_pairs, ratio, void_where, without_void
from sparse_seg_ros.evaluation.near_points import Points, meet
from sparse_seg_ros.labels import VOID

TOLERANCE = 0.0075  # of the diagonal
BAND = 0.02  # of the diagonal
NEIGHBOURS = np.ones((3, 3), np.uint8)
CLASS_0_FOR_VOID = np.append(np.arange(VOID, dtype=np.uint8), np.uint8(0))


class Boundaries(Sums):
    """Pixels of boundaries per class, those that are met, and bands along them, (C,) each."""

    def __init__(self, num_classes: int):
        self.found, self.right, self.true, self.met = np.zeros((4, num_classes), np.int64)
        self.intersection, self.union = np.zeros((2, num_classes), np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count two (H, W) uint8 arrays of ids."""
        predicted, diagonal = without_void(predicted, truth), math.hypot(*truth.shape)
        self.add_lines(Points(edges(predicted)), Points(edges(truth)), TOLERANCE * diagonal)
        width = max(1, round(BAND * diagonal))
        self.add_bands(band(predicted, width), band(truth, width))

    def add_lines(self, predicted: Points, truth: Points, tolerance: float) -> None:
        """Count the pixels beside another class."""
        is_right, is_met = meet(predicted, truth, tolerance)
        for ids, count in ((predicted.ids, self.found), (predicted.ids[is_right], self.right),
                           (truth.ids, self.true), (truth.ids[is_met], self.met)):
            count += np.bincount(ids, minlength=len(count))

    def add_bands(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count two (H, W) uint8 arrays of the ids within the bands, void elsewhere."""
        classes = len(self.union)
        pairs = count_pairs(truth, predicted)
        shared = np.diag(pairs)[:classes]
        self.intersection += shared
        self.union += (pairs.sum(0) + pairs.sum(1))[:classes] - shared

    def f1(self) -> np.ndarray:
        """Boundary F1 per class, (C,) in [0, 1]; nan for classes without boundaries."""
        precision, recall = ratio(self.right, self.found), ratio(self.met, self.true)
        hits = np.nan_to_num(precision) * np.nan_to_num(recall)
        score = 2 * ratio(hits, np.nan_to_num(precision) + np.nan_to_num(recall))
        return np.where(self.found + self.true > 0, np.nan_to_num(score), np.nan)

    def iou(self) -> np.ndarray:
        """Boundary IoU per class, (C,) in [0, 1]; nan for classes never seen."""
        return ratio(self.intersection, self.union)


def edges(labels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids -> (H, W) uint8: the ids of pixels beside another class, else void."""
    lowest = cv2.erode(labels, NEIGHBOURS)
    highest = cv2.dilate(cv2.LUT(labels, CLASS_0_FOR_VOID), NEIGHBOURS)
    return void_where(lowest >= highest, labels)


def band(labels: np.ndarray, width: int) -> np.ndarray:
    """
    (H, W) uint8 ids -> (H, W) uint8 ids, void beyond so many pixels from what has another id.

    The distance is that of a chessboard, and what lies outside of the image has another id. The
    pixel beside the border of its own class is one step nearer than the other class.
    """
    is_edge = cv2.erode(labels, NEIGHBOURS) != cv2.dilate(
        labels, NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=(VOID,))
    side = 2 * width - 1
    count = cv2.boxFilter(is_edge.view(np.uint8), cv2.CV_32S, (side, side), normalize=False,
                          borderType=cv2.BORDER_CONSTANT)
    return void_where(count == 0, labels)
