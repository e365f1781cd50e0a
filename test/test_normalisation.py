# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dark images get the brightness that the network knows, where the card or a YAML asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.data.street import street_frames
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.normalisation import Normalisation, lift_exposure

STREET = next(iter(street_frames(3, 1, (96, 128))))[0]


@pytest.mark.parametrize('power', [1.4, 1.8])
def test_an_image_that_a_power_made_darker_comes_back(power):
    dark = np.uint8(np.round(255 * (STREET / 255.0) ** power))
    back = lift_exposure(dark, STREET.mean())
    assert back.shape == STREET.shape and back.dtype == np.uint8
    assert np.abs(back.astype(int) - STREET).mean() < 8  # the mean of a power is not its power
    assert abs(back.mean() - STREET.mean()) < 0.25 * abs(dark.mean() - STREET.mean())


def test_a_brighter_image_stays_as_it_is():
    assert lift_exposure(STREET, STREET.mean() - 1) is STREET


def test_an_even_image_gets_the_brightness_exactly():
    assert (lift_exposure(np.full((4, 5, 3), 60, np.uint8), 108) == 108).all()


def test_black_and_white_stay_what_they_are():
    image = np.zeros((4, 5, 3), np.uint8)
    assert (lift_exposure(image, 108) == 0).all()
    image[:2] = 255
    assert np.array_equal(lift_exposure(image, 200), image)


def test_night_is_lifted_within_bounds_and_order_is_kept():
    night = np.arange(0, 8, dtype=np.uint8).repeat(6).reshape(4, 4, 3)
    lifted = lift_exposure(night, 108)
    assert lifted.max() <= round(255 * (7 / 255) ** 0.4)
    assert (np.diff(lifted.ravel().astype(int)) >= 0).all()


@pytest.fixture(name='weights')
def write_weights(tmp_path):
    def write(exposure):
        model = tiny_model()
        path = tmp_path / f'{exposure}.safetensors'
        save_model(replace(model, card=replace(model.card, exposure=exposure)), path)
        return path
    return write


def test_the_card_decides_and_a_method_yaml_may_say_otherwise(weights, tmp_path):
    dark = STREET // 2
    seen = {name: ss.load(weights(name), 'cpu').normalise(dark) for name in ('as_is', 'lifted')}
    plain = ss.load(weights('as_is'), 'cpu')
    brightness = float(plain.normalisation.mean.mean())
    torch.testing.assert_close(seen['lifted'], plain.normalise(lift_exposure(dark, brightness)))
    assert seen['lifted'].mean() > seen['as_is'].mean()
    for card, asked in (('as_is', 'lifted'), ('lifted', 'as_is')):
        path = tmp_path / 'method.yaml'
        path.write_text(f'{{weights: {weights(card)}, exposure: {asked}}}\n')
        assert torch.equal(ss.load(path, 'cpu').normalise(dark), seen[asked])


@pytest.mark.parametrize('exposure', ['as_is', 'lifted'])
def test_a_training_sees_each_image_as_the_segmenter_will(weights, exposure):
    path = weights(exposure)
    batch = load_model(path).card.normalisation('cpu')(np.stack([STREET, STREET // 3]))
    segment = ss.load(path, 'cpu')
    alone = [segment.normalise(image) for image in (STREET, STREET // 3)]
    torch.testing.assert_close(batch, torch.cat(alone))


def test_an_unknown_exposure_is_refused(tmp_path):
    path = tmp_path / 'method.yaml'
    path.write_text('{exposure: bright}\n')
    with pytest.raises(ValueError, match="'exposure' must be one of as_is, lifted or null"):
        ss.load(path, 'cpu')


@pytest.mark.parametrize('images', [STREET[None], np.stack([STREET, STREET[::-1]]),
                                    STREET[None, ::-2, ::3, ::-1], STREET[None, :1, :1]])
def test_pixels_become_what_the_arithmetic_says_to_the_last_bit(images):
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    pixels = torch.from_numpy(images.copy()).movedim(-1, 1).float()
    want = (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    got = Normalisation(mean, std)(images)
    assert torch.equal(got, want) and got.dtype == torch.float32
    assert got.is_contiguous(memory_format=torch.channels_last)
