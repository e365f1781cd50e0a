# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tables that kernels make equal those of torch, bit for bit, padding included."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from operators import Operators

from sparse_seg_ros.sparse import padded_level
from sparse_seg_ros.sparse.convolution import conv, inverse_conv
from sparse_seg_ros.sparse.padded_level import PaddedLevel, Rectangles
from sparse_seg_ros.sparse.tensor import SparseTensor

tables = pytest.importorskip('sparse_seg_ros.kernels.tables')
SHAPES = [((2, 3, 3), 0.5), ((1, 7, 8), 0.3), ((2, 10, 13), 0.05), ((2, 8, 5), 0.7),
          ((2, 5, 6), 0.0), ((1, 6, 7), 1.0), ((0, 4, 5), 0.5),
          ((1, 16, 130), 0.15)]  # more than one block of each kernel, both ways


@pytest.fixture(autouse=True)
def fill_new_memory():
    """Let what a kernel leaves out be seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(name='with_kernels')
def use_kernels(monkeypatch):
    """Return a function after which levels have their tables from the kernels."""
    return lambda: monkeypatch.setattr(padded_level, 'kernels_of', lambda *_: tables)


def parts_of(level: PaddedLevel) -> list[torch.Tensor]:
    """Return all that the convolutions of a level read."""
    maps = [level.neighbours, level.neighbours.adjoint, level.down, level.down.adjoint]
    parts = [part for one in maps for part in one.parts]
    found = [value for part in parts for value in (part.table, part.rows, part.active)
             if value is not None]
    found += [torch.tensor((part.inputs, *part.kernels)) for part in parts]
    return [level.flat, level.places, level.sites, level._index_map, *found]


def assert_same(got: list[torch.Tensor], want: list[torch.Tensor]):
    assert len(got) == len(want)
    for place, (one, other) in enumerate(zip(got, want)):
        assert one.dtype == other.dtype and torch.equal(one, other), place


@pytest.mark.parametrize('padding', [0, 1])
@pytest.mark.parametrize(('shape', 'density'), SHAPES)
def test_they_equal_those_of_torch(shape, density, padding, with_kernels):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < density
    bound = Rectangles(int(mask.sum()) + 2)
    want = PaddedLevel(mask, bound, padding)
    wanted = parts_of(want), want.coarser.flat, want.coarser.sites
    with_kernels()
    got = PaddedLevel(mask.mT.contiguous().mT, bound, padding)  # a view is read as it looks
    assert_same(parts_of(got), wanted[0])
    assert_same([got.coarser.flat, got.coarser.sites], [*wanted[1:]])


@pytest.mark.parametrize('place', [0, 6, 9, 15])  # one of each parity of row and column
def test_one_pixel_anywhere(place, with_kernels):
    mask = (torch.arange(16) == place).view(1, 4, 4)
    want = parts_of(PaddedLevel(mask, Rectangles(1), 1))
    with_kernels()
    assert_same(parts_of(PaddedLevel(mask, Rectangles(1), 1)), want)


@pytest.mark.parametrize('bound', [Rectangles(0), Rectangles(1, 3, 3), Rectangles(100)])
def test_the_number_of_rows_is_that_of_the_bound(bound, with_kernels):
    mask = torch.zeros(1, 5, 5, dtype=torch.bool)
    mask[:, 1:3, 2:4] = bool(bound.count)
    want = parts_of(PaddedLevel(mask, bound, 1).grown(2, 1))
    with_kernels()
    assert_same(parts_of(PaddedLevel(mask, bound, 1).grown(2, 1)), want)


def test_every_table_begins_where_a_kernel_can_read_several_values_at_once(with_kernels):
    with_kernels()
    level = PaddedLevel(torch.ones(1, 5, 5, dtype=torch.bool), Rectangles(7), 1)
    for part in level.down.adjoint.parts:
        assert part.rows is not None and len(part.rows) == 7
        for values in (part.table, part.rows):
            assert values.data_ptr() % 16 == 0 and values.is_contiguous()


def test_torch_only_adds_up_and_the_host_waits_for_nothing(with_kernels):
    with_kernels()
    level = PaddedLevel(torch.ones(1, 5, 7, dtype=torch.bool), Rectangles(35), 1)
    with torch.no_grad(), Operators() as ran:
        assert level.neighbours.parts and level.down.parts
    computing = ('cumsum', 'bitwise_or', 'eq', 'arange', 'searchsorted', 'index', 'add', 'mul')
    counted = Counter(name for name, *_ in ran.shapes if name in computing)
    assert not ran.waiting
    assert counted == {'cumsum': 3, 'bitwise_or': 4}  # ranks, and which pixels are coarser


def test_convolutions_over_them_equal_those_over_the_tables_of_torch(with_kernels):
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand((2, 9, 11), generator=generator) < 0.3
    weight, results = torch.randn((9, 4, 4), generator=generator), []
    features = torch.randn((int(mask.sum()) + 1, 4), generator=generator)
    for _ in range(2):
        level = PaddedLevel(mask, Rectangles(len(features) - 1))
        near = conv(SparseTensor(features, level), weight)
        back = inverse_conv(conv(near, weight, 2), weight, level)
        results.append(back.features[:-1])
        with_kernels()
    assert torch.equal(*results) and results[0].abs().max() > 1
