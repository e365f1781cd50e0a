# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Contract of the sparse backends: they equal dense convolution at the active pixels."""

from __future__ import annotations

from functools import partial

import dense_oracle
import pytest
import torch
from bounds import assert_rounded

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.convolution import conv, conv_shift_relu, inverse_conv
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor

BACKENDS = ('reference', 'with_triton')
SIZES = [(1, 3, 3), (2, 8, 6), (2, 5, 8), (3, 6, 7), (1, 15, 11)]
DENSITIES = [0.0, 0.1, 0.5, 1.0]
CIN, COUT = 5, 7


@pytest.fixture(params=BACKENDS)
def backend(request):
    return pytest.importorskip(f'sparse_seg_ros.sparse.{request.param}')


def some_mask(shape, density, seed=0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density


def random(*shape, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def sparse_conv(backend, mask, features, kernel):
    return conv(SparseTensor(features, Level(mask), backend), kernel).features


def sparse_strided(backend, mask, features, kernel, padding=0):
    level = Level(mask, padding)
    return conv(SparseTensor(features, level, backend), kernel, stride=2).features


def sparse_inverse(backend, mask, features, kernel, padding=0):
    level = Level(mask, padding)
    return inverse_conv(
        SparseTensor(features, level.coarser, backend), kernel, like=level
    ).features


def down(mask: torch.Tensor, padding: int = 0) -> torch.Tensor:
    return dense_oracle.coarser(mask[:, None].double(), padding)[:, 0] > 0



LAYERS = {  # sparse, dense, from mask to input sites, from mask to output sites
    'conv': (sparse_conv, dense_oracle.submanifold, torch.clone, torch.clone),
    'strided': (sparse_strided, dense_oracle.strided, torch.clone, down),
    'inverse': (sparse_inverse, dense_oracle.transposed, down, torch.clone),
    'padded': (partial(sparse_strided, padding=1), partial(dense_oracle.strided, padding=1),
               torch.clone, partial(down, padding=1)),
    'padded inverse': (partial(sparse_inverse, padding=1),
                       partial(dense_oracle.transposed, padding=1), partial(down, padding=1),
                       torch.clone),
}


@pytest.mark.parametrize('density', DENSITIES)
@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('layer', LAYERS)
def test_forward_and_gradients_equal_dense_convolution(backend, layer, size, density):
    sparse, dense, to_inputs, to_outputs = LAYERS[layer]
    mask = some_mask(size, density)
    features, kernel = random(int(to_inputs(mask).sum()), CIN), random(9, CIN, COUT)
    got = sparse(backend, mask, features, kernel)
    x = dense_oracle.scatter(features, to_inputs(mask))
    want = dense_oracle.gather(dense(x, mask[:, None].double(), kernel), to_outputs(mask))
    torch.testing.assert_close(got, want)
    grad = torch.randn(got.shape, dtype=got.dtype)
    got_grads = torch.autograd.grad(got, (features, kernel), grad)
    want_grads = torch.autograd.grad(want, (features, kernel), grad, allow_unused=True)
    for got_grad, want_grad in zip(got_grads, want_grads):
        torch.testing.assert_close(
            got_grad, torch.zeros_like(got_grad) if want_grad is None else want_grad
        )


@pytest.mark.parametrize('layer', LAYERS)
def test_one_pixel(backend, layer):
    sparse, dense, to_inputs, to_outputs = LAYERS[layer]
    for y, x in [(0, 0), (1, 1), (2, 3), (4, 5)]:
        mask = torch.zeros(1, 5, 6, dtype=torch.bool)
        mask[0, y, x] = True
        features, kernel = random(int(to_inputs(mask).sum()), CIN), random(9, CIN, COUT)
        dense_x = dense_oracle.scatter(features, to_inputs(mask))
        want = dense_oracle.gather(
            dense(dense_x, mask[:, None].double(), kernel), to_outputs(mask)
        )
        torch.testing.assert_close(sparse(backend, mask, features, kernel), want)


@pytest.mark.parametrize('layer', LAYERS)
def test_an_image_gets_the_same_result_alone_and_in_a_batch(backend, layer):
    sparse, _, to_inputs, to_outputs = LAYERS[layer]
    mask = some_mask((2, 11, 10), 0.4)
    features, kernel = random(int(to_inputs(mask).sum()), CIN), random(9, CIN, COUT)
    together = sparse(backend, mask, features, kernel)
    first = int(to_inputs(mask)[0].sum())
    alone = [
        sparse(backend, mask[i : i + 1], part, kernel)
        for i, part in enumerate((features[:first], features[first:]))
    ]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize('layer', LAYERS)
def test_many_blocks_equal_one(backend, layer, monkeypatch):
    sparse, _, to_inputs, _ = LAYERS[layer]
    mask = some_mask((2, 16, 15), 0.7)
    features, kernel = random(int(to_inputs(mask).sum()), CIN), random(9, CIN, COUT)

    def result_and_gradients():
        out = sparse(backend, mask, features, kernel)
        return out, *torch.autograd.grad(out.square().sum(), (features, kernel))

    whole = result_and_gradients()
    monkeypatch.setattr(reference, 'BLOCK_BYTES', {'cpu': 1})
    monkeypatch.setattr(reference, 'SMALLEST_BLOCK', 64)
    monkeypatch.setattr(backend, 'CHUNK_ROWS', 64, raising=False)
    for got, want in zip(result_and_gradients(), whole):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize('layer', LAYERS)
def test_autocast_computes_in_bfloat16_and_returns_gradients_in_the_dtype_of_the_weights(layer):
    sparse, _, to_inputs, _ = LAYERS[layer]
    mask = some_mask((1, 20, 20), 0.5)
    features = random(int(to_inputs(mask).sum()), CIN, dtype=torch.float32)
    kernel = random(9, CIN, COUT, dtype=torch.float32)
    want = sparse(reference, mask, features, kernel)
    want_grads = torch.autograd.grad(want.square().sum(), (features, kernel))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = sparse(reference, mask, features, kernel)
    got_grads = torch.autograd.grad(got.float().square().sum(), (features, kernel))
    assert got.dtype == torch.bfloat16
    assert {grad.dtype for grad in got_grads} == {torch.float32}
    for near, exact in zip((got.float(), *got_grads), (want, *want_grads)):
        torch.testing.assert_close(
            near, exact, rtol=0, atol=float(exact.detach().abs().max()) * 0.02
        )


def test_wide_and_narrow_convolutions_are_the_same(monkeypatch):
    mask = some_mask((2, 21, 30), 0.4)
    features, kernel = random(int(mask.sum()), CIN), random(9, CIN, COUT)
    narrow = sparse_conv(reference, mask, features, kernel)
    monkeypatch.setattr(reference, 'TILE_CHANNELS', 0)
    torch.testing.assert_close(sparse_conv(reference, mask, features, kernel), narrow)


@pytest.mark.parametrize('tile_channels', [0, 64])
@pytest.mark.parametrize('density', DENSITIES)
def test_shift_and_relu_are_those_of_dense_convolution(backend, density, tile_channels,
                                                       monkeypatch):
    monkeypatch.setattr(reference, 'TILE_CHANNELS', tile_channels)
    monkeypatch.setattr(reference, 'BLOCK_BYTES', {'cpu': 1})
    monkeypatch.setattr(reference, 'SMALLEST_BLOCK', 64)
    mask = some_mask((2, 21, 30), density)
    features, kernel, shift = (random(*shape, dtype=torch.float32).detach()
                               for shape in ((int(mask.sum()), CIN), (9, CIN, COUT), (COUT,)))
    got = conv_shift_relu(SparseTensor(features, Level(mask), backend), kernel, shift).features
    x = dense_oracle.scatter(features, mask)
    want = dense_oracle.gather(
        dense_oracle.submanifold(x.double(), mask[:, None].double(), kernel.double()), mask)
    if len(want):
        assert_rounded(got, (want + shift).relu(), additions=9 * CIN + 1)


def test_zeros_after_the_features_are_used_where_they_are_and_nothing_else_is():
    features = torch.ones(3, 4)
    row = torch.zeros(1, 4)
    assert reference.pad(features, torch.float32)[3].tolist() == [0] * 4
    for after, is_shared in ((row, True), (row + 1, False), (row[:, :2].view(2, 1), False)):
        storage = torch.cat((features.flatten(), after.flatten()))
        view = storage[:12].view(3, 4)
        padded = reference.pad(view, torch.float32)
        assert (padded.data_ptr() == view.data_ptr()) is is_shared
        assert padded[:3].eq(1).all() and padded[3].eq(0).all()
    assert reference.pad(view, torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize('channels', [8, reference.TILE_CHANNELS])
def test_the_next_convolution_need_not_copy_what_this_one_returns(channels):
    mask = torch.ones(1, 60, 60, dtype=torch.bool)
    x = SparseTensor(torch.randn(3600, channels), Level(mask))
    after = conv_shift_relu(x, torch.randn(9, channels, channels), torch.ones(channels)).features
    assert reference.pad(after, torch.float32).data_ptr() == after.data_ptr()


@torch.no_grad()
def test_linear_layers_get_inputs_of_few_sizes():
    sizes = set()
    for count in range(5_000, 100_000, 97):
        size = len(reference.rounded(torch.ones(1, 1).expand(count, 1)))
        assert count <= size <= 1.13 * count
        sizes.add(size)
    assert len(sizes) <= 8 * 5
    features = torch.randn(700, 3)
    assert torch.equal(reference.rounded(features)[:700], features)
    room = torch.randn(1000, 3)
    assert reference.rounded(room[:700]).data_ptr() == room.data_ptr()  # without a copy
    with torch.enable_grad():
        assert reference.rounded(features) is features


def test_conv_refuses_other_strides():
    x = SparseTensor(torch.zeros(0, 1), Level(torch.zeros(1, 4, 4, dtype=torch.bool)))
    with pytest.raises(ValueError, match='stride must be 1 or 2, got 3'):
        conv(x, torch.zeros(9, 1, 1), stride=3)


def test_inverse_conv_refuses_a_level_it_did_not_come_from():
    level = Level(torch.ones(1, 7, 7, dtype=torch.bool))
    x = SparseTensor(torch.zeros(9, 1), Level(torch.ones(1, 3, 3, dtype=torch.bool)))
    with pytest.raises(ValueError, match='x must be at like.coarser'):
        inverse_conv(x, torch.zeros(9, 1, 1), like=level)
