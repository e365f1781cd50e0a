# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Winograd's convolution equals the dense one, to a rounding error close to the plain sum's."""

from __future__ import annotations

import dense_oracle
import pytest
import torch
from bounds import assert_rounded

from sparse_seg_ros.sparse import reference, winograd
from sparse_seg_ros.sparse.convolution import conv, conv_shift_relu
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor

SIZES = [(1, 1, 1), (1, 3, 3), (1, 8, 8), (2, 9, 12), (3, 16, 7), (1, 33, 30)]
CIN, COUT = 5, 7


@pytest.fixture
def always(monkeypatch):
    """Take Winograd's however few tiles, channels and active pixels there are."""
    monkeypatch.setattr(winograd, 'FEWEST_TILES', 1)
    monkeypatch.setattr(winograd, 'FEWEST_ACTIVE', 0)
    monkeypatch.setattr(reference, 'TILE_CHANNELS', 0)


@pytest.fixture
def calls(monkeypatch):
    """Name the shape of every kernel that Winograd's convolution is called with."""
    shapes, multiply = [], winograd.multiply

    def counted(padded, weight, *others):
        shapes.append(tuple(weight.shape))
        multiply(padded, weight, *others)

    monkeypatch.setattr(winograd, 'multiply', counted)
    return shapes


def some_mask(shape, density) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) < density


def blocks_of_eight(batch: int, rows: int, columns: int) -> torch.Tensor:
    """Some of the 8x8 squares of an image, whole: as where boundaries are selected."""
    coarse = some_mask((batch, rows, columns), 0.5)
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)


def random(*shape, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def dense(mask, features, kernel) -> torch.Tensor:
    x = dense_oracle.scatter(features, mask)
    return dense_oracle.gather(
        dense_oracle.submanifold(x, mask[:, None].to(x.dtype), kernel), mask)


@pytest.mark.parametrize('block_bytes', [1, 12 << 20], ids=['many blocks', 'one block'])
@pytest.mark.parametrize('density', [0.02, 0.3, 1.0])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_it_equals_dense_convolution(size, density, block_bytes, always, calls, monkeypatch):
    monkeypatch.setattr(winograd, 'BLOCK_BYTES', block_bytes)
    mask = some_mask(size, density)
    features, kernel, shift = random(int(mask.sum()), CIN), random(9, CIN, COUT), random(COUT)
    x, want = SparseTensor(features, Level(mask)), dense(mask, features, kernel)
    torch.testing.assert_close(conv(x, kernel).features, want)
    torch.testing.assert_close(
        conv_shift_relu(x, kernel, shift).features, (want + shift).relu())
    assert len(calls) == (2 if mask.any() else 0)


def test_rounding_grows_no_faster_than_the_root_of_the_length_of_the_sum(always, calls):
    mask, channels = blocks_of_eight(1, 8, 8), 64
    features = random(int(mask.sum()), channels, dtype=torch.float32).relu()
    kernel = random(9, channels, channels, dtype=torch.float32)
    exact = dense(mask, features.double(), kernel.double())
    x = SparseTensor(features, Level(mask))
    tiled = conv(x, kernel).features
    error, magnitude = (y.double().square().mean().sqrt() for y in (tiled - exact, exact))
    assert len(calls) == 1
    assert 0 < error < torch.finfo(torch.float32).eps * (9 * channels) ** 0.5 * magnitude
    assert_rounded(tiled, exact, additions=3 * 9 * channels)


def test_wide_convolutions_of_whole_regions_take_it_and_others_do_not(calls):
    wide = reference.TILE_CHANNELS
    for mask, channels, dtype in [
        (blocks_of_eight(1, 12, 12), wide, torch.float32),
        (blocks_of_eight(1, 12, 12), wide // 2, torch.float32),  # too narrow
        (blocks_of_eight(1, 12, 12), wide, torch.bfloat16),
        (blocks_of_eight(1, 4, 4), wide, torch.float32),  # too few tiles
        (some_mask((1, 96, 96), 0.2), wide, torch.float32),  # scattered over the tiles
    ]:
        x = SparseTensor(random(int(mask.sum()), channels).to(dtype), Level(mask))
        conv(x, random(9, channels, channels).to(dtype))
    assert calls == [(9, wide, wide)]


def test_training_takes_it_forward_and_its_gradients_are_those_of_dense_convolution(always, calls):
    mask = some_mask((2, 13, 18), 0.5)
    features = random(int(mask.sum()), CIN).requires_grad_()
    kernel = random(9, CIN, COUT).requires_grad_()
    got = conv(SparseTensor(features, Level(mask)), kernel).features
    want = dense(mask, features, kernel)
    grad = random(*want.shape)
    torch.testing.assert_close(torch.autograd.grad(got, (features, kernel), grad),
                               torch.autograd.grad(want, (features, kernel), grad))
    assert calls


def test_tiles_name_the_rows_of_their_patches_and_where_the_pixels_are():
    mask = torch.zeros(1, 5, 6, dtype=torch.bool)
    mask[0, 0, 3] = mask[0, 3, 4] = mask[0, 4, 0] = True  # tiles (0, 0), (0, 1), (1, 0)
    tiles = Level(mask).neighbours.tiles
    patches = tiles.table.view(-1, 6, 6)  # by columns
    assert patches[0].ne(3).nonzero().tolist() == [[1, 5], [4, 1], [5, 4]]
    assert patches[0][1, 5] == 2 and patches[0][4, 1] == 0 and patches[0][5, 4] == 1
    assert tiles.active.tolist() == [12, 16 + 3, 32]
    assert list(tiles.blocks(2)) == [(slice(0, 2), slice(0, 2)), (slice(2, 3), slice(2, 3))]
    assert list(tiles.blocks(3)) == [(slice(0, 3), slice(0, 3))]
    assert list(tiles.blocks(1)) == list(tiles.blocks(2))  # a row of tiles is never cut
