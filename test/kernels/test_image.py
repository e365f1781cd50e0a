# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel that normalises images equals torch bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_seg_ros import normalisation
from sparse_seg_ros.kernels.switch import checked

image = pytest.importorskip('sparse_seg_ros.kernels.image')
MEAN, STD = torch.tensor((73.16, 82.91, 72.39)), torch.tensor((47.67, 48.49, 47.73))


@pytest.mark.parametrize('shape', [(1, 1, 1), (2, 7, 5), (1, 32, 64), (1, 33, 67), (0, 4, 4)])
def test_it_equals_torch(shape):
    images = torch.randint(256, (*shape, 3), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))
    got = image.normalise(images, MEAN, STD)
    assert got.shape == (shape[0], 3, *shape[1:]) and got.dtype == torch.float32
    assert torch.equal(got.movedim(1, -1), (images.float() - MEAN) / STD)


def test_every_level_of_every_channel_is_right():
    images = torch.arange(256, dtype=torch.uint8)[None, :, None, None].repeat(1, 1, 2, 3)
    got = image.normalise(images, MEAN, STD)
    want = (np.arange(256, dtype=np.float32)[:, None] - MEAN.numpy()) / STD.numpy()
    assert np.array_equal(got[0, :, :, 1].t().numpy(), want)


def test_an_image_that_is_a_view_is_read_as_it_looks():
    images = torch.randint(256, (1, 12, 10, 3), dtype=torch.uint8)[:, ::2, 3:]
    assert torch.equal(image.normalise(images, MEAN, STD),
                       image.normalise(images.clone(), MEAN, STD))


def test_normalisation_uses_it_on_a_gpu(monkeypatch):
    pixels = np.random.default_rng(0).integers(256, size=(1, 6, 9, 3), dtype=np.uint8)
    normalise = normalisation.Normalisation(tuple(MEAN.tolist()), tuple(STD.tolist()))
    want = normalise(pixels)
    normalise.device = torch.device('meta')  # anything but a CPU
    monkeypatch.setattr(torch.Tensor, 'to', lambda tensor, device: tensor)
    monkeypatch.setattr(normalisation, 'kernels_of', lambda stage, device: checked(stage, 'cpu'))
    got = normalise(pixels)
    assert torch.equal(got, want) and got.stride() == want.stride()
