# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Local and global merging, against loops over windows and pairs, and what must always hold."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import partial
from statistics import mean, stdev

import pytest
import torch
from algm_oracle import above, assert_equal, draw_tokens, reference_global, reference_local
from torch.nn import functional as F

from sparse_seg_ros.methods.algm.choices import above_mean
from sparse_seg_ros.methods.algm.merging import merge_global, merge_local
from sparse_seg_ros.networks.vit.tokens import Tokens, unmerge


@pytest.mark.parametrize('seed', range(50))
def test_merging_equals_loops_in_order_values_and_sizes(seed):
    tokens, window, threshold = draw_tokens(seed)
    local = merge_local(tokens, window, above(threshold))
    untouched = torch.arange(tokens.values.shape[1]).expand(len(tokens.values), -1)
    with torch.no_grad():
        reference = reference_local(tokens.values.tolist(), tokens.grid_hw, window, threshold)
    assert_equal(local, reference, untouched)
    layer = random.Random(seed).randint(2, 9)
    for choose, least_of in ((above(threshold), lambda best: threshold),
                             (partial(above_mean, layer=layer),
                              lambda best: mean(best) + stdev(best) / layer
                              if len(best) > 1 else math.inf)):
        reference = reference_global(local.values.tolist(), local.sizes.tolist(), least_of)
        assert_equal(merge_global(local, choose), reference, local.groups)


def merges_of(seed):
    tokens, window, threshold = draw_tokens(seed)
    choose = above(threshold)
    local = merge_local(tokens, window, choose)
    return tokens, [local, merge_global(local, choose), merge_global(tokens, choose)]


@pytest.mark.parametrize('seed', range(50, 80))
def test_every_patch_is_in_one_group_and_the_class_token_alone_in_its_own(seed):
    tokens, merged = merges_of(seed)
    for after in merged:
        count = after.values.shape[1]
        assert after.groups.shape == tokens.values.shape[:2]
        assert all(set(groups) == set(range(count)) for groups in after.groups.tolist())
        assert (after.sizes.sum(1) == tokens.values.shape[1]).all()
        assert (after.groups[:, 0] == 0).all() and (after.groups[:, 1:] > 0).all()
        assert torch.equal(after.values[:, 0], tokens.values[:, 0])


@pytest.mark.parametrize('seed', range(50, 80))
def test_unmerged_values_are_the_mean_of_their_group_and_constant_in_it(seed):
    tokens, merged = merges_of(seed)
    for after in merged:
        shares = after.groups[:, :, None] == after.groups[:, None]  # (B, T, T)
        values = unmerge(after.values, after.groups)
        is_equal = (values[:, :, None] == values[:, None]).all(3)
        assert is_equal[shares].all()
        means = shares.double() @ tokens.values / shares.sum(2, keepdim=True)
        torch.testing.assert_close(values, means)


def test_identical_tokens_merge_into_themselves():
    tokens, window, _ = draw_tokens(3)
    values = tokens.values[:, :1].expand_as(tokens.values).float()
    local = merge_local(replace(tokens, values=values), window, above(0.88))
    assert (local.sizes[:, 1:] == math.prod(window)).all()
    after = merge_global(local, above(0.88))
    assert after.values.shape[1] == 1 + local.values.shape[1] // 2
    torch.testing.assert_close(unmerge(after.values, after.groups), values, atol=1e-5, rtol=0)


def test_above_similarity_one_nothing_merges():
    tokens, window, _ = draw_tokens(4)
    local = merge_local(tokens, window, above(1.1))
    assert torch.equal(local.values, tokens.values)
    after = merge_global(local, above(1.1))
    assert (after.sizes == 1).all()
    assert torch.equal(unmerge(after.values, after.groups), tokens.values)


@pytest.mark.parametrize('count', [1, 2, 3])
@pytest.mark.parametrize('choose', [above(-1.0), partial(above_mean, layer=5)],
                         ids=['fixed', 'adaptive'])
def test_a_handful_of_patches_is_enough(count, choose):
    values = torch.randn(1, 1 + count, 4, generator=torch.Generator().manual_seed(0))
    after = merge_global(Tokens(values, (1, count)), choose)
    assert after.sizes.sum() == 1 + count and after.values.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_averages_without_overflow(dtype):
    values = torch.full((1, 1 + 64, 8), 3000.0, dtype=dtype)
    local = merge_local(Tokens(values, (8, 8)), (4, 4), above(0.9))
    after = merge_global(local, above(0.9))
    assert after.values.dtype == dtype and after.sizes.max() > 32
    torch.testing.assert_close(after.values, values[:, :after.values.shape[1]])


def test_gradients_are_those_of_the_averages_alone():
    tokens, window, threshold = draw_tokens(6)
    values = tokens.values.requires_grad_()
    after = merge_global(merge_local(tokens, window, above(threshold)), above(threshold))
    weight = torch.randn(after.values.shape, dtype=torch.float64)
    (after.values * weight).sum().backward()
    share = 1 / after.sizes.gather(1, after.groups).double()
    wanted = weight.gather(1, after.groups[..., None].expand_as(values)) * share[..., None]
    torch.testing.assert_close(values.grad, wanted)


def test_results_go_back_to_the_grid_in_raster_order():
    tokens = Tokens(torch.zeros(1, 3, 2), (2, 2), torch.tensor([[0, 2, 1, 1, 2]]))
    assert tokens.to_grid(torch.tensor([[[5.0], [7.0]]])).tolist() == [[[[7, 5], [5, 7]]]]
    tokens = Tokens(torch.zeros(1, 7, 2), (2, 3))
    assert tokens.to_grid(torch.arange(6.0).view(1, 6, 1)).tolist() == [[[[0, 1, 2], [3, 4, 5]]]]


def test_a_window_that_does_not_divide_the_grid_is_refused():
    tokens = Tokens(torch.zeros(1, 16, 4), (3, 5))
    with pytest.raises(ValueError, match=r'window \(2, 2\) must divide the grid of patches, got '
                                         r'3 x 5; pad the image'):
        merge_local(tokens, (2, 2), above(0.88))


def test_the_similarity_of_a_window_is_the_mean_over_its_pairs():
    tokens = Tokens(F.pad(torch.eye(4)[None], (0, 0, 1, 0)), (2, 2))
    tokens.values[0, 2] = tokens.values[0, 1]  # one of six pairs is equal
    assert merge_local(tokens, (2, 2), above(1 / 6 - 1e-4)).values.shape[1] == 2
    assert merge_local(tokens, (2, 2), above(1 / 6 + 1e-4)).values.shape[1] == 5
