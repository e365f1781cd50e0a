# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Averaging a map down to several grids at once, by matrix products.

The same averages as `adaptive_avg_pool2d`, also of maps smaller than a grid, but the map is read
once for all grids, its channels stay last in memory, and ONNX has the products, where it has
adaptive pooling only for grids that divide the map.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.networks.lrformer.attention import grid_size


def pool_grids(x: Tensor, sides: tuple[int, ...]) -> list[Tensor]:
    """(B, C, H, W) -> for each side the (B, h, w, C) means; the shorter of h and w is the side."""
    sizes = tuple(grid_size(side, *x.shape[-2:]) for side in sides)
    over_rows, over_columns = averaging_matrices(x, sizes)
    pixels = x.movedim(1, -1)  # (B, H, W, C), contiguous where channels are last in memory
    strips = multiply(over_rows, pixels.flatten(2)).unflatten(2, pixels.shape[2:])
    strips = strips.split([rows for rows, _ in sizes], dim=1)  # of (B, h, W, C)
    return [multiply(matrix, strip.flatten(0, 1)).unflatten(0, strip.shape[:2])
            for matrix, strip in zip(over_columns, strips)]


def multiply(matrix: Tensor, x: Tensor) -> Tensor:
    """(M, N), (B, N, K) -> (B, M, K)."""
    return torch.bmm(matrix.expand(len(x), -1, -1), x)


def averaging_matrices(x: Tensor, sizes: tuple[tuple[int, int], ...]) -> tuple[Tensor, list]:
    """(B, C, H, W), grids of (h, w) -> (sum of h, H) of all grids, and for each grid (w, W)."""
    # A tensor made while a network is exported belongs to that export and must not be kept.
    make = make_matrices.__wrapped__ if torch.compiler.is_exporting() else make_matrices
    return make(sizes, *x.shape[-2:], x.dtype, x.device)


@functools.lru_cache(maxsize=64)
def make_matrices(sizes: tuple[tuple[int, int], ...], height: int, width: int,
                  dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Make the matrices of `averaging_matrices`; those of the sizes seen last are kept."""
    rows = np.concatenate([shares(rows, height) for rows, _ in sizes])
    columns = [shares(columns, width) for _, columns in sizes]
    with torch.inference_mode(False):  # whoever asks next may want gradients
        return (torch.tensor(rows, dtype=dtype, device=device),
                [torch.tensor(matrix, dtype=dtype, device=device) for matrix in columns])


def shares(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels) share of each pixel in the mean of each cell: of all pixels it touches."""
    cell, pixel = np.arange(cells)[:, None], np.arange(pixels)
    is_touched = (pixel >= cell * pixels // cells) & (pixel < -(-(cell + 1) * pixels // cells))
    return is_touched / is_touched.sum(1, keepdims=True)
