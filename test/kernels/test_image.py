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


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize('shape', [(1, 1, 1), (2, 7, 5), (1, 33, 67), (0, 4, 4)])
def test_it_equals_torch(shape, dtype):
    images = torch.randint(256, (*shape, 3), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))
    got = image.normalise(images, MEAN, STD, dtype)
    assert got.shape == (shape[0], 3, *shape[1:]) and got.dtype == dtype
    assert torch.equal(got.movedim(1, -1), ((images.float() - MEAN) / STD).to(dtype))


def test_every_level_of_every_channel_is_right():
    images = torch.arange(256, dtype=torch.uint8)[None, :, None, None].repeat(1, 1, 2, 3)
    got = image.normalise(images, MEAN, STD, torch.float32)
    want = (np.arange(256, dtype=np.float32)[:, None] - MEAN.numpy()) / STD.numpy()
    assert np.array_equal(got[0, :, :, 1].t().numpy(), want)


def test_an_image_that_is_a_view_is_read_as_it_looks():
    images = torch.randint(256, (1, 12, 10, 3), dtype=torch.uint8)[:, ::2, 3:]
    assert torch.equal(image.normalise(images, MEAN, STD, torch.float32),
                       image.normalise(images.clone(), MEAN, STD, torch.float32))


@pytest.mark.parametrize(('precision', 'dtype'), [('fp32', torch.float32),
                                                  ('bf16', torch.float32),
                                                  ('fp16', torch.float16)])
@pytest.mark.parametrize('has_kernels', [True, False])
def test_normalisation_uses_it_on_a_gpu(monkeypatch, precision, dtype, has_kernels):
    pixels = np.random.default_rng(0).integers(256, size=(1, 6, 9, 3), dtype=np.uint8)
    mean, std = tuple(MEAN.tolist()), tuple(STD.tolist())
    want = normalisation.Normalisation(mean, std, precision=precision)(pixels)
    assert want.dtype == torch.float32  # on a CPU
    normalise = normalisation.Normalisation(mean, std, device='meta', precision=precision)
    normalise.mean, normalise.std = (values.view(1, 3, 1, 1) for values in (MEAN, STD))
    monkeypatch.setattr(normalisation, 'upload', lambda images, _: torch.from_numpy(images))
    monkeypatch.setattr(normalisation, 'kernels_of', lambda stage, _: checked(stage, 'cpu')
                        if has_kernels else None)
    got = normalise(pixels)
    assert got.dtype == dtype and got.stride() == want.stride()
    assert torch.equal(got, want.to(dtype))
