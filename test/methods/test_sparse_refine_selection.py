# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Selection on the low-resolution grid equals selection after upsampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.methods.sparse_refine.selection import entropy, select, upsample


def some_logits(*shape) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3


def test_entropy_is_minus_p_ln_p():
    logits = some_logits(2, 5, 4, 3)
    p = logits.softmax(1)
    torch.testing.assert_close(entropy(logits), -(p * p.clamp_min(1e-5).log()).sum(1))


def test_entropy_runs_from_zero_to_ln_c():
    sure = torch.tensor([100.0, 0, 0, 0]).view(1, 4, 1, 1)
    assert entropy(sure).item() == pytest.approx(0, abs=1e-6)
    assert entropy(torch.zeros(1, 4, 1, 1)).item() == pytest.approx(math.log(4))


def test_entropy_stays_finite_and_differentiable_for_impossible_classes():
    logits = torch.tensor([0.0, -1e4, -torch.inf]).view(1, 3, 1, 1)
    assert entropy(logits).item() == 0


def test_selection_is_strict():
    logits = torch.zeros(1, 2, 1, 1)
    nats = entropy(logits).item()
    assert not select(logits, nats).any()
    assert select(logits, nats - 1e-6).all()


@pytest.mark.parametrize('size', [(8, 12), (4, 6), (7, 11), (13, 9), (16, 31), (3, 5)], ids=str)
def test_upsample_equals_nearest_interpolation(size):
    values = some_logits(2, 4, 6)
    assert torch.equal(
        upsample(values, size), F.interpolate(values[:, None], size, mode='nearest')[:, 0]
    )


@pytest.mark.parametrize('size', [(20, 28), (33, 50), (10, 14)], ids=str)
def test_select_then_upsample_equals_upsample_then_select(size):
    logits = some_logits(2, 7, 10, 14)
    full = select(F.interpolate(logits, size, mode='nearest'), 0.8)
    assert torch.equal(upsample(select(logits, 0.8), size), full)
