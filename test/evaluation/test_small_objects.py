# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The score of small things, on pictures counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.evaluation.small_objects import SmallObjects


def picture():
    """Return 100x100 ids: a large object of class 1, two small ones of 4 and 2 pixels, a void."""
    truth = np.zeros((100, 100), np.uint8)
    truth[:50, :50] = 1
    truth[70:72, 70:72] = 1
    truth[90, 10:12] = 1
    truth[90, 12] = 255
    return truth


def score(predicted):
    objects = SmallObjects(3)
    objects.add(predicted, picture())
    return objects.iou()


def test_a_perfect_prediction_scores_one_and_absent_classes_do_not_count():
    assert score(picture())[1] == 1 and np.isnan(score(picture())[2])


def test_large_objects_do_not_count_either_way():
    predicted = picture()
    predicted[:50, :50] = 2
    assert score(predicted)[1] == 1


def test_what_is_missed_lowers_the_intersection():
    predicted = picture()
    predicted[90, 10:13] = 0
    assert score(predicted)[1] == pytest.approx(4 / 6)


def test_a_halo_counts_against_the_object_it_is_connected_to_and_nothing_else_does():
    predicted = picture()
    predicted[72, 70:73] = 1  # three pixels too many
    predicted[80, 80] = 1  # far from any
    predicted[90, 12] = 1  # void
    assert score(predicted)[1] == pytest.approx(6 / 9)


def test_frames_add_up():
    objects = SmallObjects(3)
    for predicted in (picture(), np.zeros((100, 100), np.uint8)):
        objects.add(predicted, picture())
    assert objects.iou()[1] == pytest.approx(0.5) and objects.mean_iou() == pytest.approx(0.5)
    assert np.isnan(SmallObjects(2).mean_iou())
