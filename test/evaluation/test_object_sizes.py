# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of three sizes are scored as class by class, mask by mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from label_blobs import blobs

from sparse_seg_ros.evaluation.object_sizes import LIMITS, SIZES, ObjectSizes
from sparse_seg_ros.evaluation.small_objects import SmallObjects

VOID, CLASSES = 255, 4


def components_of(size):
    """Return a function that keeps the components of one size of a mask."""
    low, high = dict(zip(SIZES, [(0, LIMITS[0]), LIMITS, (LIMITS[1], 2)]))[size]

    def choose(mask):
        _, component, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        areas = stats[:, cv2.CC_STAT_AREA]
        is_kept = (areas >= low * mask.size) & (areas < high * mask.size)
        is_kept[0] = False
        return is_kept[np.asarray(component, np.int32)]
    return choose


@pytest.mark.parametrize('size_hw', [(60, 90), (200, 150), (1, 40), (7, 1), (1, 1)])
def test_each_size_is_scored_as_class_by_class(size_hw):
    random = np.random.default_rng(0)
    counted = ObjectSizes(CLASSES)
    literal = {size: SmallObjects(CLASSES, components_of(size)) for size in SIZES}
    for _ in range(6):
        truth, predicted = blobs(random, size_hw), blobs(random, size_hw, void=0)
        speckled = random.random(size_hw) < 0.05
        truth = np.where(speckled, random.integers(0, CLASSES, size_hw), truth).astype(np.uint8)
        predicted = np.where(random.random(size_hw) < 0.6, truth, predicted)
        predicted = np.where(predicted == VOID, 0, predicted)
        for scores in (counted, *literal.values()):
            scores.add(predicted, truth)
    for row, size in enumerate(SIZES):
        assert counted.hits[row].tolist() == literal[size].hits.tolist()
        assert counted.unions[row].tolist() == literal[size].unions.tolist()


def test_a_frame_of_void_has_no_objects():
    counted = ObjectSizes(150)
    counted.add(np.zeros((9, 9), np.uint8), np.full((9, 9), VOID, np.uint8))
    assert not counted.unions.any() and np.isnan(counted.mean_iou('small'))
