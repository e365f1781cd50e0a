# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers that are not convolutions of neighbours."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_seg_ros.sparse.layers import Conv, NormReLU, Pointwise
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor


def sparse(count: int, channels: int = 6) -> SparseTensor:
    mask = torch.zeros(1, 10, 10, dtype=torch.bool)
    mask.view(-1)[:count] = True
    features = torch.randn(count, channels, generator=torch.Generator().manual_seed(1),
                           dtype=torch.float64)
    return SparseTensor(features.requires_grad_(), Level(mask))


@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.parametrize('count', [2, 57])
def test_norm_relu_is_batch_norm_then_relu_forward_backward_and_in_its_statistics(
    is_training, count
):
    torch.manual_seed(0)
    ours, theirs = (norm(6).double().train(is_training) for norm in (NormReLU, nn.BatchNorm1d))
    for parameter in (ours.weight, ours.bias, ours.running_mean, ours.running_var):
        nn.init.uniform_(parameter, 0.5, 2)
    theirs.load_state_dict(ours.state_dict())
    x = sparse(count)
    got, want = ours(x).features, theirs(x.features).relu()
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    grad = torch.randn(got.shape)
    torch.testing.assert_close(
        torch.autograd.grad(got, (x.features, ours.weight, ours.bias), grad),
        torch.autograd.grad(want, (x.features, theirs.weight, theirs.bias), grad),
    )


def test_norm_relu_without_gradient_equals_norm_relu_with_one():
    norm, x = NormReLU(6).double().eval(), sparse(40)
    nn.init.uniform_(norm.running_mean)
    want = norm(x).features
    with torch.inference_mode():
        torch.testing.assert_close(norm(x).features, want)


@pytest.mark.parametrize('count', [0, 1])
def test_norm_relu_of_fewer_than_two_pixels_uses_and_keeps_the_running_statistics(count):
    norm, x = NormReLU(6).double(), sparse(count)
    torch.testing.assert_close(norm(x).features, (x.features / (1 + 1e-5) ** 0.5).relu())
    assert norm.num_batches_tracked == 0
    assert norm.running_var.tolist() == [1] * 6


def test_pointwise_multiplies_each_pixel():
    layer, x = Pointwise(6, 3).double(), sparse(8)
    torch.testing.assert_close(layer(x).features, x.features @ layer.kernel)


def test_a_convolution_starts_by_keeping_the_variance():
    torch.manual_seed(0)
    level = Level(torch.ones(1, 40, 40, dtype=torch.bool))
    x = SparseTensor(torch.randn(1600, 32).relu(), level)
    assert 0.8 < Conv(32, 32)(x).features.var() < 1.2
