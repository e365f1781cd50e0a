# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Levels of a number of rows that is known beforehand, against those of just their pixels."""

from __future__ import annotations

import dense_oracle
import pytest
import torch

from sparse_seg_ros.sparse.convolution import conv, conv_shift_relu, inverse_conv
from sparse_seg_ros.sparse.grid import write_rows
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.padded_level import PaddedLevel, Rectangles, make_level
from sparse_seg_ros.sparse.tensor import SparseTensor

SIZES = [(3, 3), (7, 8), (10, 13)]
DENSITIES = [0.0, 0.05, 0.4, 1.0]


def some_mask(size, density, batch=2) -> torch.Tensor:
    return torch.rand((batch, *size), generator=torch.Generator().manual_seed(0)) < density


def both(size, density, padding=0, spare=3) -> tuple[Level, PaddedLevel]:
    """Return the level of a mask, and with rows for some more pixels."""
    mask = some_mask(size, density)
    return Level(mask, padding), PaddedLevel(mask, Rectangles(int(mask.sum()) + spare), padding)


def integers(*shape) -> torch.Tensor:
    """Return numbers whose products add up without rounding, in whatever order."""
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randint(-8, 9, shape, generator=generator).float()


def assert_same_table(got, want, rows: tuple[int, int], inputs: tuple[int, int]):
    """Compare a padded table with that of the pixels: `rows` and `inputs` there and here."""
    missing = got == inputs[0]
    assert torch.equal(missing[:rows[1]], want == inputs[1])
    assert torch.equal(got[:rows[1]][~missing[:rows[1]]], want[want != inputs[1]])
    assert got.shape == (rows[0], want.shape[1]) and missing[rows[1]:].all()


@pytest.mark.parametrize('padding', [0, 1])
@pytest.mark.parametrize('density', DENSITIES)
@pytest.mark.parametrize('size', SIZES)
def test_its_first_rows_are_the_pixels_and_the_others_point_nowhere(size, density, padding):
    level, padded = both(size, density, padding)
    pixels, rows = len(level), len(padded)
    assert torch.equal(padded.flat[:pixels], level.flat)
    assert torch.equal(padded.sites[:pixels], level.sites)
    assert (padded.flat[pixels:] == level.mask.numel()).all() and rows > pixels
    sizes, coarser = (rows, pixels), (len(padded.coarser), len(level.coarser))
    assert torch.equal(padded.coarser.mask, level.coarser.mask)
    assert_same_table(padded.neighbours.parts[0].table, level.neighbours.parts[0].table,
                      sizes, sizes)
    assert_same_table(padded.down.parts[0].table, level.down.parts[0].table, coarser, sizes)
    assert padded.neighbours.parts[0].active.tolist() == [pixels]
    assert padded.down.parts[0].active.tolist() == [coarser[1]]
    for got, want in zip(padded.down.adjoint.parts, level.down.adjoint.parts):
        members = len(want.table)
        assert got.kernels == want.kernels and got.active.tolist() == [members]
        assert torch.equal(got.rows[:members], want.rows)
        assert (got.rows[members:] == rows - 1).all()
        assert torch.equal(got.table[:members] == coarser[0], want.table == coarser[1])


@pytest.mark.parametrize('density', DENSITIES)
@pytest.mark.parametrize('size', SIZES)
def test_convolutions_equal_those_of_the_pixels_whatever_padding_holds(size, density):
    level, padded = both(size, density)
    pixels, count = len(level), len(padded)
    features, kernel, back = integers(pixels, 5), integers(9, 5, 6), integers(9, 6, 4)
    poison = torch.full((count - pixels, 5), torch.nan)
    x = SparseTensor(features, level)
    y = SparseTensor(torch.cat((features, poison)), padded)
    shift = integers(6)
    assert torch.equal(conv(y, kernel).features[:pixels], conv(x, kernel).features)
    assert torch.equal(conv_shift_relu(y, kernel, shift).features[:pixels],
                       conv_shift_relu(x, kernel, shift).features)
    there, here = conv(y, kernel, 2), conv(x, kernel, 2)
    assert torch.equal(there.features[:len(here.level)], here.features)
    there.features[len(here.level):] = torch.nan
    assert torch.equal(inverse_conv(there, back, padded).features[:pixels],
                       inverse_conv(here, back, level).features)


@pytest.mark.parametrize('density', [0.0, 0.4])
def test_triton_convolves_the_pixels_alone(density):
    with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')
    level, padded = both((7, 8), density)
    features, kernel, back = integers(len(level), 5), integers(9, 5, 6), integers(9, 6, 4)
    poison = torch.full((len(padded) - len(level), 5), torch.nan)
    y = SparseTensor(torch.cat((features, poison)), padded, with_triton)
    here = conv(SparseTensor(features, level), kernel, 2)
    there = conv(y, kernel, 2)
    assert torch.equal(there.features[:len(here.level)], here.features)
    there.features[len(here.level):] = torch.nan
    assert torch.equal(inverse_conv(there, back, padded).features[:len(level)],
                       inverse_conv(here, back, level).features)


@pytest.mark.parametrize('size', SIZES)
def test_pixels_and_their_neighbours_are_those_of_a_dense_dilation(size):
    mask = some_mask(size, 0.1)
    wide = torch.nn.functional.max_pool2d(mask.float(), 3, 1, 1) > 0
    grown = PaddedLevel(mask, Rectangles(int(mask.sum()))).grown(4, 1)
    height, width = (side + -side % 4 for side in size)
    assert grown.mask.shape == (2, height, width) and grown.padding == 1
    assert torch.equal(grown.mask[:, :size[0], :size[1]], wide)
    assert grown.mask.sum() == wide.sum() < len(grown)
    assert torch.equal(grown.flat[:wide.sum()], grown.mask.flatten().nonzero()[:, 0])


@pytest.mark.parametrize('padding', [0, 1])
def test_a_rectangle_has_as_many_outputs_as_its_bound_says_at_most(padding):
    counted = {}
    for rows in range(1, 12):
        for first in range(12):
            mask = torch.zeros(1, 1, 40, 9)
            mask[:, :, first:first + rows] = 1
            outputs = int(dense_oracle.coarser(mask, padding)[0, 0].any(1).sum())
            counted[rows] = max(counted.get(rows, 0), outputs)
    assert counted == {rows: Rectangles(1, rows, 1).coarser().height for rows in counted}


@pytest.mark.parametrize('padding', [0, 1])
def test_the_bound_holds_where_every_pixel_has_four_outputs_of_its_own(padding):
    mask = torch.zeros(2, 21, 29, dtype=torch.bool)
    mask[:, 2 + padding:-2:4, 2 + padding:-2:4] = True
    pixels = int(mask.sum())
    coarser = PaddedLevel(mask, Rectangles(pixels), padding).coarser
    assert coarser.mask.sum() == 4 * pixels == len(coarser) - 1
    assert torch.equal(coarser.flat[:-1], coarser.mask.flatten().nonzero()[:, 0])


@pytest.mark.parametrize('side', [1, 2, 3, 4])
def test_the_bound_of_blocks_holds_at_every_level(side):
    generator = torch.Generator().manual_seed(side)
    for density in (0.02, 0.1, 0.5):
        chosen = torch.rand((2, 12, 15), generator=generator) < density
        mask = chosen.repeat_interleave(side, 1).repeat_interleave(side, 2)
        level = PaddedLevel(mask, Rectangles(int(chosen.sum())).enlarged(side, side))
        while min(level.mask.shape[1:]) > 2:
            assert level.mask.sum() < len(level) or not len(level)
            rows = torch.cat([part.rows for part in level.down.adjoint.parts])
            reached = rows[rows < len(level) - 1]
            assert torch.equal(reached.sort().values, torch.arange(int(level.mask.sum())))
            level = level.coarser


def test_without_a_pixel_by_the_bound_there_is_no_row():
    level = PaddedLevel(some_mask((8, 9), 0.0), Rectangles(0))
    assert len(level) == len(level.coarser) == len(level.grown(4, 0)) == 0
    features = torch.zeros(0, 3)
    deep = conv(SparseTensor(features, level), integers(9, 3, 4), 2)
    assert inverse_conv(deep, integers(9, 4, 2), level).features.shape == (0, 2)


def test_a_row_that_is_looked_up_where_nothing_is_active_can_be_read():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 2, 1] = True
    level = make_level(mask, Rectangles(5))
    first = torch.zeros(2, dtype=torch.int64)
    y = torch.tensor([2, 0])
    assert level.rows_at(first, y, torch.tensor([1, 0])).tolist() == [0, len(level) - 1]
    assert isinstance(make_level(mask), Level) and not make_level(mask).is_padded


def test_rows_written_one_past_the_last_are_written_nowhere():
    values, rows = torch.arange(12.).view(4, 3), torch.full((3, 3), -1.)
    got = write_rows(values, torch.tensor([4, 1, 4]), rows)
    assert got.tolist() == [[0, 1, 2], [-1, -1, -1], [6, 7, 8], [9, 10, 11]]
    assert values[1, 0] == 3
