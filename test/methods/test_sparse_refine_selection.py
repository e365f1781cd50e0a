# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Selection on the low-resolution grid equals selection after upsampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.methods.reading import entropy
from sparse_seg_ros.methods.sparse_refine.selection import (
    count_affordable,
    highest,
    select,
    upsample,
)


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
    assert not select(entropy(logits), nats).any()
    assert select(entropy(logits), nats - 1e-6).all()


@pytest.mark.parametrize('size', [(8, 12), (4, 6), (7, 11), (13, 9), (16, 31), (3, 5)], ids=str)
def test_upsample_equals_nearest_interpolation(size):
    values = some_logits(2, 4, 6)
    assert torch.equal(
        upsample(values, size), F.interpolate(values[:, None], size, mode='nearest')[:, 0]
    )


@pytest.mark.parametrize('size', [(20, 28), (33, 50), (10, 14)], ids=str)
def test_select_then_upsample_equals_upsample_then_select(size):
    logits = some_logits(2, 7, 10, 14)
    full = select(entropy(F.interpolate(logits, size, mode='nearest')), 0.8)
    assert torch.equal(upsample(select(entropy(logits), 0.8), size), full)


@pytest.mark.parametrize('count', [0, 1, 17, 69, 70])
def test_highest_are_those_that_a_stable_sort_puts_first(count):
    scores = (some_logits(3, 7, 10) * 2).round()  # many are equal
    expected = torch.zeros(3, 70, dtype=torch.bool)
    order = scores.flatten(1).sort(dim=1, descending=True, stable=True).indices
    expected.scatter_(1, order[:, :count], True)
    assert torch.equal(highest(scores, count), expected.view(3, 7, 10))


def test_a_budget_keeps_the_most_uncertain_of_those_above_alpha():
    logits = some_logits(2, 5, 8, 9)
    above = select(entropy(logits), 0.5)
    kept = select(entropy(logits), 0.5, 10)
    assert (kept.flatten(1).sum(1) == 10).all() and not (kept & ~above).any()
    for image in range(2):
        nats = entropy(logits)[image]
        assert nats[kept[image]].min() >= nats[above[image] & ~kept[image]].max()


def test_equal_logits_never_exceed_the_budget():
    assert select(torch.ones(2, 6, 6), 0.1, 11).sum() == 22


@pytest.mark.parametrize('budget', [0.0, 0.01, 0.12, 0.5, 1.0])
@pytest.mark.parametrize('low', [(8, 12), (7, 11), (24, 36)], ids=str)
def test_affordable_pixels_never_cover_more_than_the_budget(budget, low):
    full = (24, 36)
    count = count_affordable(budget, low, full)
    chosen = highest(some_logits(1, *low), count)
    assert upsample(chosen, full).sum() <= budget * 24 * 36
    if low == (8, 12):
        assert (count + 1) * 9 > budget * 24 * 36 or count == 96
