# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Street scenes: repeatable, exact in size, complete in classes, and a moving sequence."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.street import CLASSES, Street, street_frames

SMALL = (180, 240)
CAR, PEDESTRIAN = CLASSES.index('car'), CLASSES.index('pedestrian')


@pytest.mark.parametrize('size_hw', [(64, 64), (180, 240), (97, 301), (360, 202), (800, 1700)])
def test_a_frame_has_exactly_the_asked_size(size_hw):
    frame = Street(4, size_hw).frame(2)
    assert frame.image.shape == (*size_hw, 3) and frame.image.dtype == np.uint8
    assert frame.label.shape == size_hw and frame.label.dtype == np.uint8
    assert frame.label.max() < len(CLASSES)
    assert (frame.index, frame.time_seconds) == (2, 0.2)


def test_the_same_seed_size_and_index_give_the_same_bytes_in_any_order():
    first, second = Street(9, SMALL), Street(9, SMALL)
    forwards = [first.frame(index) for index in (0, 3, 40)]
    backwards = [second.frame(index) for index in (40, 3, 0)][::-1]
    for one, other in zip(forwards, backwards):
        assert np.array_equal(one.image, other.image) and np.array_equal(one.label, other.label)


def test_another_seed_is_another_street():
    one, other = Street(1, SMALL).frame(0), Street(2, SMALL).frame(0)
    assert (one.label != other.label).mean() > 0.05


def test_consecutive_frames_move_a_little_and_distant_frames_a_lot():
    street = Street(5, (360, 480))
    start, soon, later = (street.frame(index).label for index in (0, 1, 60))
    assert 0.002 < (start != soon).mean() < 0.25
    assert (start != later).mean() > (start != soon).mean()


def test_a_drive_can_go_on_for_hours():
    frame = Street(5, SMALL).frame(100_000)
    assert len(np.unique(frame.label)) >= 8


def test_every_class_appears_in_a_few_snapshots():
    seen = np.zeros(256, int)
    for _, label in street_frames(11, 6, (360, 480)):
        seen += np.bincount(label.ravel(), minlength=256) > 0
    assert (seen[:11] >= 4).all(), dict(zip(CLASSES, seen))
    assert not seen[11:].any()


def test_small_distant_cars_and_people_exist_at_high_resolution():
    heights = {CAR: [], PEDESTRIAN: []}
    for _, label in street_frames(3, 2):
        for wanted, found in heights.items():
            stats = cv2.connectedComponentsWithStats(np.uint8(label == wanted))[2]
            found += stats[1:, cv2.CC_STAT_HEIGHT].tolist()
    assert min(heights[CAR]) < 20 and min(heights[PEDESTRIAN]) < 20
    assert max(heights[PEDESTRIAN]) > 60


def test_class_and_colour_are_painted_by_the_same_stroke():
    street = Street(8, SMALL)
    edges = cv2.morphologyEx(street.frame(0).label, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    contrast = cv2.morphologyEx(street.frame(0).image, cv2.MORPH_GRADIENT, np.ones((3, 3)))
    assert contrast[edges].mean() > 2 * contrast[~edges].mean()


def test_snapshots_are_repeatable_and_independent():
    one, other = list(street_frames(6, 3, SMALL)), list(street_frames(6, 2, SMALL))
    assert len(one) == 3
    for (image, label), (same_image, same_label) in zip(one, other):
        assert np.array_equal(image, same_image) and np.array_equal(label, same_label)
    assert (one[0][1] != one[1][1]).mean() > 0.05


@pytest.mark.parametrize('call, message', [
    (lambda: Street(0, (32, 640)), r'at least 64 pixels, got \(32, 640\); pass for example'),
    (lambda: Street(0, 512), r'size_hw must be \(height, width\).*got 512'),
    (lambda: Street(-1), 'seed must be a whole number from 0, got -1; count from 0 upwards'),
    (lambda: Street(0, SMALL).frame(-2), 'index must be a whole number from 0, got -2'),
    (lambda: Street(0, SMALL).frame(1.5), 'index must be a whole number from 0, got 1.5'),
    (lambda: Street(0, SMALL, 0.0), 'frames_per_second must be above 0, got 0.0; pass the rate'),
    (lambda: street_frames(0, -1), 'count must be a whole number from 0, got -1'),
])
def test_bad_requests_say_what_was_expected_and_how_to_cure_them(call, message):
    with pytest.raises(ValueError, match=message):
        call()
