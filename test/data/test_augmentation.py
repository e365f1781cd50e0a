# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random views: right size, image and label together, and the same for the same seed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.augmentation import (
    Augmentation,
    cut,
    distort,
    photometric,
    share_of_largest,
)
from sparse_seg_ros.labels import VOID

LABEL = np.random.default_rng(0).integers(0, 5, (40, 60), np.uint8)
IMAGE = np.repeat(LABEL[..., None] * 40, 3, axis=2)  # tells its label at every pixel


@pytest.mark.parametrize('crop_hw', [(16, 24), (80, 30), (1, 1)])
@pytest.mark.parametrize('scales', [(0.5, 1.5), (1.0, 1.0)])
def test_a_view_has_the_asked_size(crop_hw, scales):
    for seed in range(5):
        image, label = Augmentation(crop_hw, scales)(IMAGE, LABEL, np.random.default_rng(seed))
        assert image.shape == (*crop_hw, 3) and image.dtype == np.uint8
        assert label.shape == crop_hw and label.dtype == np.uint8


def test_image_and_label_stay_together():
    augment = Augmentation((16, 24), (1.0, 1.0), jitter=0.0)
    for seed in range(10):
        image, label = augment(IMAGE, LABEL, np.random.default_rng(seed))
        assert np.array_equal(image[..., 0], label * 40)


def test_what_lies_outside_the_frame_is_void():
    augment = Augmentation((80, 90), (1.0, 1.0), jitter=0.0)
    image, label = augment(IMAGE, LABEL, np.random.default_rng(0))
    inside = label != VOID
    assert inside.sum() == LABEL.size and np.array_equal(image[inside][:, 0], label[inside] * 40)


def test_the_same_seed_gives_the_same_view():
    augment = Augmentation((16, 24), (0.5, 2.0))
    one, other, different = (augment(IMAGE, LABEL, np.random.default_rng(seed))
                             for seed in (3, 3, 4))
    assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    assert not np.array_equal(one[0], different[0])


def test_cut_fills_on_every_side():
    assert cut(np.ones((2, 2), np.uint8), -1, -1, [4, 4], fill=9).tolist() == [
        [9, 9, 9, 9], [9, 1, 1, 9], [9, 1, 1, 9], [9, 9, 9, 9]]


def test_distortion_follows_its_definition_in_floating_point():
    pixels = np.random.default_rng(1).integers(60, 180, (5, 6, 3), np.uint8)
    random = np.random.default_rng(2)
    brightness, contrast, saturation = random.uniform(0.8, 1.2, 3)
    tint = random.uniform(1 - 0.2 / 3, 1 + 0.2 / 3, 3)
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    coloured = grey[..., None] + saturation * (pixels - grey[..., None])
    expected = (coloured - grey.mean()) * contrast + grey.mean() * brightness
    got = distort(pixels, 0.2, np.random.default_rng(2))
    assert np.abs(got - np.clip(expected * tint, 0, 255)).max() <= 1


def test_no_distortion_leaves_the_image_as_it_is():
    assert np.array_equal(distort(IMAGE, 0.0, np.random.default_rng(0)), IMAGE)


def test_a_view_with_too_much_of_one_class_is_drawn_again():
    label = np.zeros((40, 60), np.uint8)
    label[:, 45:] = 1  # a quarter of the frame
    label[:20, :10] = VOID  # does not count
    image = np.repeat(label[..., None], 3, axis=2)
    views = {limit: [Augmentation((16, 16), (1.0, 1.0), 0.0, limit)(
        image, label, np.random.default_rng(seed))[1] for seed in range(30)]
        for limit in (1.0, 0.75)}
    shares = {limit: [share_of_largest(view) for view in seen] for limit, seen in views.items()}
    assert np.mean(np.array(shares[1.0]) > 0.75) > 0.5
    assert np.mean(np.array(shares[0.75]) > 0.75) < 0.35  # ten tries were in vain


def test_a_frame_of_one_class_is_taken_after_all():
    augment = Augmentation((16, 24), (1.0, 1.0), largest_share=0.75)
    _, label = augment(IMAGE, np.zeros_like(LABEL), np.random.default_rng(0))
    assert label.shape == (16, 24)


def test_the_share_of_the_largest_class_leaves_void_out():
    assert share_of_largest(np.array([[1, 1, 2, VOID]], np.uint8)) == pytest.approx(2 / 3)


def test_a_view_without_any_label_is_drawn_again():
    label = np.full((40, 400), VOID, np.uint8)
    label[:, :100] = LABEL[:, :50].repeat(2, 1)
    augment = Augmentation((16, 24), (1.0, 1.0), largest_share=0.75)
    views = [augment(np.zeros((40, 400, 3), np.uint8), label, np.random.default_rng(seed))[1]
             for seed in range(20)]
    assert sum((view == VOID).all() for view in views) <= 3  # ten tries were in vain


def photometric_views(color, count=600):
    """Colour -> (N, 3) what photometric distortion makes of it."""
    image, random = np.full((1, 1, 3), color, np.uint8), np.random.default_rng(0)
    return np.array([photometric(image, random)[0, 0] for _ in range(count)])


def test_photometric_distortion_brightens_grey_by_32_and_its_contrast_by_half():
    views = photometric_views([100, 100, 100])
    assert (views == views[:, :1]).all()  # saturation and hue leave grey
    levels = views[:, 0]
    assert (levels == 100).mean() == pytest.approx(1 / 4, abs=0.06)  # two coins fell on tails
    assert 34 <= levels.min() <= 40 and 190 <= levels.max() <= 198


def test_photometric_distortion_turns_and_bleaches_colours():
    views = photometric_views([200, 50, 50])
    hue, saturation = cv2.cvtColor(views[None], cv2.COLOR_RGB2HSV)[0, :, :2].T.astype(int)
    turn = 2 * ((hue + 90) % 180 - 90)  # degrees, from the red
    assert -42 <= turn.min() <= -32 and 30 <= turn.max() <= 42
    assert (views == [200, 50, 50]).all(1).mean() == pytest.approx(1 / 16, abs=0.03)
    assert saturation.min() < 90 and saturation.max() == 255


def test_a_view_has_the_distortion_of_its_settings():
    image, label = np.full((8, 8, 3), (200, 50, 50), np.uint8), np.zeros((8, 8), np.uint8)
    views = [Augmentation((8, 8), (1.0, 1.0), distortion='photometric')(
        image, label, np.random.default_rng(seed))[0] for seed in range(60)]
    assert 0 < sum(np.array_equal(view, image) for view in views) < 15
