# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Active pixels and their tables."""

from __future__ import annotations

import gc
import weakref

import dense_oracle
import pytest
import torch

from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor


def some_mask(*shape) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3


def test_sites_are_in_row_major_order():
    mask = some_mask(3, 6, 5)
    assert Level(mask).sites.tolist() == mask.nonzero().tolist()


def test_neighbours_point_at_the_row_of_each_neighbour_and_past_the_last_where_there_is_none():
    mask = torch.tensor([[[1, 1, 0], [0, 1, 0], [1, 0, 0]]]).bool()
    table = Level(mask).neighbours.parts[0].table.tolist()
    # kernel order: dy first; sites: 0 (0,0), 1 (0,1), 2 (1,1), 3 (2,0)
    assert table[0] == [4, 4, 4, 4, 0, 4, 4, 1, 2]
    assert table[2] == [0, 4, 3, 1, 2, 4, 4, 4, 4]


def test_runs_have_a_pixel_more_before_and_after():
    level = Level(torch.tensor([[[1, 0, 0, 0, 1], [0, 1, 0, 0, 0]]]).bool())
    runs = level.neighbours.runs
    # sites: 0 (0,0), 1 (0,4), 2 (1,1); pixels (0,-1) to (0,1), (0,3) to (0,5), (1,0) to (1,2)
    assert runs.active.tolist() == [1, 4, 7]
    assert runs.table.tolist() == [[3, 3, 3], [3, 0, 3], [3, 3, 2], [3, 3, 3], [3, 1, 3],
                                   [3, 3, 3], [0, 3, 3], [3, 2, 3], [3, 3, 3]]


def test_images_of_a_batch_are_not_neighbours():
    table = Level(torch.ones(2, 1, 2, dtype=torch.bool)).neighbours.parts[0].table
    assert set(table[:2].flatten().tolist()) == {0, 1, 4}
    assert set(table[2:].flatten().tolist()) == {2, 3, 4}


@pytest.mark.parametrize('padding', [0, 1])
@pytest.mark.parametrize('size', [(3, 3), (7, 8), (10, 13)])
def test_a_coarser_pixel_is_active_if_any_of_its_nine_inputs_is(size, padding):
    mask = some_mask(2, *size)
    want = dense_oracle.coarser(mask[:, None].float(), padding)[:, 0] > 0
    assert torch.equal(Level(mask, padding).coarser.mask, want)


def test_tables_are_built_once_and_shared():
    level = Level(some_mask(1, 9, 9))
    assert level.neighbours is level.neighbours
    assert level.coarser is level.coarser
    assert level.down.adjoint.parts is level.down.adjoint_parts


def test_a_level_is_freed_without_the_garbage_collector():
    level = Level(some_mask(1, 9, 9))
    assert len(level.neighbours.runs.active) == len(level.neighbours.tiles.active) == len(level)
    assert level.down
    gone = weakref.ref(level)
    gc.disable()
    try:
        del level
        assert gone() is None
    finally:
        gc.enable()


def test_an_empty_level_has_empty_tables():
    level = Level(torch.zeros(2, 8, 8, dtype=torch.bool))
    assert len(level) == len(level.coarser) == 0
    assert level.neighbours.parts[0].table.shape == (0, 9)


def test_level_refuses_scores():
    with pytest.raises(
        ValueError, match=r'mask must be \(B, H, W\) bool, got \(4, 4\) torch.float32'
    ):
        Level(torch.zeros(4, 4))


def test_level_refuses_to_halve_two_pixels():
    with pytest.raises(ValueError, match='needs 3x3 pixels or more, got 2x9'):
        _ = Level(torch.ones(1, 2, 9, dtype=torch.bool)).coarser


def test_a_tensor_has_one_row_per_active_pixel():
    with pytest.raises(ValueError, match=r'features must be \(9, C\), .* got \(8, 2\)'):
        SparseTensor(torch.zeros(8, 2), Level(torch.ones(1, 3, 3, dtype=torch.bool)))
