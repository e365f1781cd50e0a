# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same model on the GPU and on the CPU (`make test-gpu`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.checkpoints import save_model

pytestmark = [pytest.mark.gpu,
              pytest.mark.skipif(not torch.cuda.is_available(), reason='torch finds no CUDA')]


@pytest.fixture(name='path', params=[True, False], ids=['sparse_refine', 'dense'])
def save_tiny(request, tmp_path):
    model = tiny_model(request.param)
    if model.refiner is not None:
        torch.nn.init.normal_(model.refiner.head.weight)
    save_model(model, tmp_path / 'tiny.safetensors')
    return tmp_path / 'tiny.safetensors'


@pytest.mark.parametrize(('precision', 'tolerance'), [('fp32', 1e-3), ('fp16', 2e-2)])
def test_cuda_segments_like_the_cpu(path, precision, tolerance):
    image = street_image(192, 256)
    expected = ss.load(path, device='cpu', precision='fp32')(image)
    seen = ss.load(path, device='cuda', precision=precision)(image)
    assert (seen.labels == expected.labels).mean() > 1 - 5 * tolerance
    assert np.abs(seen.uncertainty - expected.uncertainty).mean() < tolerance


def test_stages_on_cuda_add_up_to_the_total(path):
    segment = ss.load(path, device='cuda')
    segment(street_image())
    milliseconds = segment(street_image()).milliseconds
    parts = sum(spent for stage, spent in milliseconds.items() if stage != 'total')
    assert 0.5 * milliseconds['total'] < parts <= milliseconds['total']
