# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boundary F1 and boundary IoU equal what their definitions say, pixel by pixel."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from label_blobs import blobs

from sparse_seg_ros.evaluation import boundaries
from sparse_seg_ros.evaluation.boundaries import Boundaries
from sparse_seg_ros.evaluation.near_points import Points, meet

VOID, CLASSES = 255, 4


def line_of(labels, index):
    """Return the pixels of a class beside another class, by the definition."""
    height, width = labels.shape
    return {(y, x) for y in range(height) for x in range(width) if labels[y, x] == index and any(
        labels[v, u] not in (index, VOID)
        for v in range(max(y - 1, 0), min(y + 2, height))
        for u in range(max(x - 1, 0), min(x + 2, width)))}


def literal_f1(frames, index):
    found = right = true = met = 0
    for predicted, truth in frames:
        predicted = np.where(truth == VOID, VOID, predicted)
        one, other = line_of(predicted, index), line_of(truth, index)
        far = 0.0075 * math.hypot(*truth.shape)
        found, true = found + len(one), true + len(other)
        right += sum(any(math.dist(a, b) <= far for b in other) for a in one)
        met += sum(any(math.dist(a, b) <= far for b in one) for a in other)
    if found + true == 0:
        return math.nan
    precision, recall = right / max(found, 1), met / max(true, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def band_of(mask):
    """Return Cheng's boundary of a mask: what an erosion within the padded image takes away."""
    distance = max(1, int(round(0.02 * math.hypot(*mask.shape))))
    padded = np.pad(mask.astype(np.uint8), 1)
    left = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return mask & (left == 0)


def literal_iou(frames, index):
    shared = union = 0
    for predicted, truth in frames:
        found = band_of((predicted == index) & (truth != VOID))
        true = band_of(truth == index)
        shared, union = shared + (found & true).sum(), union + (found | true).sum()
    return shared / union if union else math.nan


@pytest.mark.parametrize('size_hw', [(30, 40), (31, 17), (1, 60), (5, 1), (1, 1), (2, 3)])
def test_both_equal_their_definitions(size_hw, monkeypatch):
    random = np.random.default_rng(0)
    frames = [(blobs(random, size_hw, void=0), blobs(random, size_hw)) for _ in range(2)]
    frames.append((frames[1][1], frames[1][1]))
    frames[0][0][:1, :2] = VOID
    counted = Boundaries(CLASSES)
    for pair in frames:
        counted.add(*pair)
    for index in range(CLASSES):
        assert counted.f1()[index] == pytest.approx(literal_f1(frames, index), nan_ok=True,
                                                    abs=1e-12)
        assert counted.iou()[index] == pytest.approx(literal_iou(frames, index), nan_ok=True,
                                                     abs=1e-12)


@pytest.mark.parametrize('radius', [0.0, 0.9, 1.5, 3.0, 5.83, 9.0, 17.17, 40.0])
def test_points_that_meet_are_those_within_the_radius(radius):
    random = np.random.default_rng(int(radius * 10))
    one, other = (np.where(random.random((60, 90)) < share, random.integers(0, 3, (60, 90)), VOID)
                  .astype(np.uint8) for share in (0.05, 0.01))
    points, others = Points(one), Points(other)
    is_near, is_near_other = meet(points, others, radius)
    squares = (points.rows[:, None] - others.rows) ** 2 \
        + (points.columns[:, None] - others.columns) ** 2
    same = points.ids[:, None] == others.ids
    meets = same & (squares <= radius ** 2)
    assert np.array_equal(is_near, meets.any(1)) and np.array_equal(is_near_other, meets.any(0))


def test_void_pixels_never_count_and_150_classes_are_no_trouble():
    random = np.random.default_rng(0)
    truth = random.integers(0, 150, (40, 50), np.uint8)
    truth[:20] = VOID
    predicted, other = random.integers(0, 150, (2, 40, 50), np.uint8)
    other[20:] = predicted[20:]
    one, same = Boundaries(150), Boundaries(150)
    one.add(predicted, truth)
    same.add(other, truth)
    assert all(np.array_equal(values, vars(same)[name]) for name, values in vars(one).items())
    nothing = Boundaries(3)
    nothing.add(predicted % 3, np.full_like(truth, VOID))
    assert np.isnan(nothing.f1()).all() and np.isnan(nothing.iou()).all()


def test_a_class_that_is_nowhere_alike_scores_zero():
    truth, predicted = np.zeros((2, 9, 9), np.uint8)
    truth[:4], predicted[:, :4] = 1, 1
    counted = Boundaries(2)
    counted.add(np.zeros_like(truth), truth)
    assert counted.f1().tolist() == [0, 0] and counted.iou()[1] == 0
    assert boundaries.TOLERANCE == 0.0075 and boundaries.BAND == 0.02
