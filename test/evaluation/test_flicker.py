# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels that move with the picture are steady; labels that change under it flicker."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.flicker import LONGEST_GAP, Flicker
from sparse_seg_ros.prediction import Prediction

SHIFT, PERIOD = 5, 40_000_000
WORLD = cv2.resize(np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8), (640, 320),
                   interpolation=cv2.INTER_CUBIC)
TRUTH = (np.arange(640) // 80 % 2 + np.zeros((320, 1))).astype(np.uint8)  # stripes


def view(number: int, labels=None):
    """Return frame, image and prediction of a camera that moves over the world."""
    left = slice(SHIFT * number, SHIFT * number + 480)
    image = np.ascontiguousarray(WORLD[:, left])
    labels = np.ascontiguousarray(TRUTH[:, left]) if labels is None else labels
    return (Frame('camera', lambda: image, stamp=number * PERIOD), image,
            Prediction(labels, np.zeros(labels.shape, np.float32)))


def flicker_of(*views) -> Flicker:
    counted = Flicker(2)
    for each in views:
        counted(*each)
    return counted


def test_labels_that_move_with_the_picture_are_steady():
    seen = flicker_of(*map(view, range(4)))
    assert seen.pairs == 3 and seen.fraction() < 0.01 and seen.consistency() > 0.98
    assert seen.matrix.counts.sum() > 0.9 * 3 * 320 * 475  # nearly all flow is trusted


def test_labels_that_stand_still_over_a_moving_picture_flicker():
    still = view(0)[2].labels
    seen = flicker_of(view(0, still), view(1, still))
    edge = SHIFT / 80  # of each stripe the camera has left this part
    assert seen.fraction() == pytest.approx(edge, rel=0.25)
    assert (seen.of_classes() > edge / 2).all()


def test_a_class_that_comes_and_goes_is_named():
    blink = view(0)[2].labels.copy()
    blink[:160] = 0
    seen = flicker_of(view(0), view(1, blink))
    assert seen.of_classes()[1] > 0.4 > 0.1 > seen.of_classes()[0]


def test_frames_that_do_not_follow_each_other_are_not_compared():
    late = Frame('camera', view(1)[0].read_image, stamp=LONGEST_GAP + 1)
    small = (view(1)[0], view(1)[1][:, :300], Prediction(view(1)[2].labels[:, :300],
                                                          np.zeros((320, 300), np.float32)))
    for second in ((late, *view(1)[1:]), view(0), small):
        seen = flicker_of(view(0), second)
        assert seen.pairs == 0 and math.isnan(seen.fraction()) and math.isnan(seen.consistency())


def test_counts_of_two_drives_add_up():
    one, other = flicker_of(view(0), view(1)), flicker_of(view(2), view(3))
    both = one + other
    assert both.pairs == 2
    assert (both.matrix.counts == one.matrix.counts + other.matrix.counts).all()


def test_large_frames_are_compared_small():
    big = [(frame, np.kron(image, np.ones((2, 2, 1), np.uint8)),
            Prediction(np.kron(seen.labels, np.ones((2, 2), np.uint8)),
                       np.zeros((640, 960), np.float32)))
           for frame, image, seen in map(view, range(2))]
    seen = flicker_of(*big)
    assert seen.matrix.counts.sum() <= 320 * 480 and seen.fraction() < 0.02
