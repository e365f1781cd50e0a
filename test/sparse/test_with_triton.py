# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Triton's kernels beyond the contract of all backends.

They are interpreted on the CPU; test_ahead_of_time.py compiles them for GPUs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from bounds import assert_rounded
from torch.nn import functional as F

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.convolution import Extras, conv_add
from sparse_seg_ros.sparse.folding import fold
from sparse_seg_ros.sparse.layers import Conv, NormReLU
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor

with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')

@pytest.fixture(autouse=True)
def widen_products(monkeypatch):
    """
    Let the interpreter multiply half types as float32, which is exact, and far faster.

    Its `dot` takes the bits of bfloat16 for integers.
    """
    interpreter = pytest.importorskip('triton.runtime.interpreter')
    dot = interpreter.InterpreterBuilder.create_dot

    def wide(handle):
        kind, values = handle.dtype.scalar.name, handle.data
        if kind not in ('fp16', 'bf16'):
            return handle
        values = values.astype(np.float32) if kind == 'fp16' else \
            (values.astype(np.uint32) << 16).view(np.float32)
        return interpreter.TensorHandle(values, interpreter.tl.float32)

    monkeypatch.setattr(interpreter.InterpreterBuilder, 'create_dot',
                        lambda builder, a, b, *rest: dot(builder, wide(a), wide(b), *rest))


@pytest.mark.parametrize(('cin', 'cout', 'dtype'), [
    (3, 32, torch.float32), (14, 16, torch.float16), (14, 16, torch.bfloat16),
    (64, 32, torch.float16), (130, 80, torch.float32)], ids=str)
def test_every_width_and_kind_of_pairs_equals_the_reference(cin, cout, dtype):
    generator = torch.Generator().manual_seed(cin)
    level = Level(torch.rand((2, 7, 13), generator=generator) < 0.4)
    weight = torch.randn((9, cin, cout), generator=generator).to(dtype) / (9 * cin) ** 0.5
    for pairs in (level.neighbours, level.down, level.down.adjoint):
        features = torch.randn((pairs.inputs, cin), generator=generator).to(dtype)
        for shift in (None, weight[0, 0]) if pairs is level.neighbours else (None,):
            got = with_triton.multiply(features, weight, pairs, shift)
            want = reference.multiply(features.double(), weight.double(), pairs,
                                      None if shift is None else shift.double())
            assert got.dtype == dtype
            assert_rounded(got, want, additions=9 * cin if dtype == torch.float32 else 1)


def test_features_and_weights_may_be_views():
    level = Level(torch.rand((1, 9, 9), generator=torch.Generator().manual_seed(0)) < 0.5)
    features, weight = torch.randn(16, len(level)).t(), torch.randn(9, 24, 16).transpose(1, 2)
    got = with_triton.multiply(features, weight, level.neighbours)
    assert_rounded(got, reference.multiply(features.double(), weight.double(),
                                           level.neighbours), additions=9 * 24)



@pytest.mark.parametrize(('cin', 'cout', 'dtype'), [
    (16, 16, torch.float32), (17, 40, torch.float16), (17, 40, torch.bfloat16),
    (72, 48, torch.float32), (72, 48, torch.float16), (16, 600, torch.float16)], ids=str)
def test_a_norm_before_and_a_residual_after_join_the_convolution(cin, cout, dtype):
    generator = torch.Generator().manual_seed(cout)
    level = Level(torch.rand((1, 7, 9), generator=generator) < 0.4)
    pairs, kind = level.neighbours, {'generator': generator}
    features = torch.randn((len(level), cin), **kind).to(dtype)
    weight = (torch.randn((9, cin, cout), **kind) / (9 * cin) ** 0.5).to(dtype)
    residual = torch.randn((len(level), cout), **kind).to(dtype)
    scale, bias, shift = (torch.randn(width, **kind) for width in (cin, cin, cout))
    normed = F.relu(features.double() * scale.double() + bias.double())
    additions = 9 * cin + 3 if dtype == torch.float32 else 3
    for norm, added in ((None, None), ((scale, bias), shift)):
        inputs = features.double() if norm is None else normed
        want = reference.multiply(inputs, weight.double(), pairs) + residual.double()
        want = want if added is None else F.relu(want + added.double())
        got = with_triton.multiply(features, weight, pairs, added, Extras(norm, residual))
        assert got.dtype == dtype
        assert_rounded(got, want, additions)


def test_the_widest_features_are_summed_to_the_end():
    level = Level(torch.ones((1, 2, 2), dtype=torch.bool))
    features = torch.randn((4, 1024), generator=torch.Generator().manual_seed(0)).half()
    weight = torch.zeros((9, 1024, 16), dtype=torch.float16)
    weight[4, -16:] = torch.eye(16)  # the last channels of each pixel
    got = with_triton.multiply(features, weight, level.neighbours)
    assert torch.equal(got, features[:, -16:])


@pytest.mark.parametrize('count', [0, 1])
def test_no_and_one_pixel(count):
    mask = torch.zeros((1, 5, 6), dtype=torch.bool)
    mask.view(-1)[:count] = True
    pairs, weight = Level(mask).neighbours, torch.randn(9, 16, 24)
    features, residual = torch.ones(count, 16), torch.ones(count, 24)
    got = with_triton.multiply(features, weight, pairs, weight[0, 0],
                               Extras((weight[0, 0, :16], weight[0, 1, :16]), residual))
    normed = F.relu(weight[0, 0, :16] + weight[0, 1, :16]).double()
    want = F.relu(normed @ weight[4].double() + weight[0, 0].double() + 1).expand(count, -1)
    assert got.shape == (count, 24)
    if count:
        assert_rounded(got, want, additions=9 * 16)


def test_what_is_not_a_number_stays_so():
    pairs = Level(torch.ones((1, 1, 1), dtype=torch.bool)).neighbours
    weight, features = torch.ones(9, 16, 16), torch.full((1, 16), math.nan)
    for extras in (Extras(), Extras(norm=(weight[0, 0], weight[0, 0]))):
        assert with_triton.multiply(features, weight, pairs, weight[0, 0], extras).isnan().all()


def test_a_folded_norm_is_fused_where_the_backend_can():
    generator = torch.Generator().manual_seed(0)
    level = Level(torch.rand((1, 9, 11), generator=generator) < 0.5)
    before, conv, norm = NormReLU(24), Conv(24, 32), NormReLU(32)
    for layer in (before, norm):
        for values in (layer.running_mean, layer.running_var, layer.weight.data, layer.bias.data):
            values.uniform_(0.5, 2, generator=generator)
    twin = fold(conv.eval(), norm.eval(), before.eval())
    x = SparseTensor(torch.randn((len(level), 24), generator=generator), level)
    want = norm(conv(before(x))).features
    for backend in (reference, with_triton):
        with torch.no_grad():
            got = twin(SparseTensor(x.features, level, backend)).features
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('has_shift', [False, True])
def test_a_sum_after_a_convolution_is_the_same_fused_and_not(has_shift):
    generator = torch.Generator().manual_seed(0)
    level = Level(torch.rand((1, 9, 11), generator=generator) < 0.5)
    x = SparseTensor(torch.randn((len(level), 24), generator=generator), level)
    weight, residual = torch.randn(9, 24, 16), torch.randn(len(level), 16)
    shift = weight[0, 0] if has_shift else None
    want = reference.multiply(x.features.double(), weight.double(), level.neighbours) + residual
    want = F.relu(want + shift) if has_shift else want
    for backend in (reference, with_triton):
        got = conv_add(SparseTensor(x.features, level, backend), weight, residual, shift)
        assert_rounded(got.features, want, additions=9 * 24 + 2)
