# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Submanifold 3x3 convolution with a quarter of the multiplications, in full precision on a CPU.

Winograd's minimal filtering F(4x4, 3x3): Lavin and Gray, Fast Algorithms for Convolutional Neural
Networks, 2016. A 6x6 patch and the kernel, both as polynomials, are evaluated at 36 points. There
the convolution is one product per point, and interpolation gives 4x4 pixels. Only tiles of 4x4
with an active pixel are computed. Along a boundary 13 of their 16 pixels are active, so the
multiplications fall to a third.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial.polynomial import polyfromroots, polyvander
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.sparse.grid import Grid, look_up, window

TILE, PATCH = 4, 6  # pixels along a side
BLOCK_BYTES = 12 << 20  # of patches: fastest of 5 to 38 MiB on two idle cores of 2 MiB L2
FEWEST_TILES = 128  # fewer do not repay the transform of a kernel
FEWEST_ACTIVE = 6  # of a tile's 16 pixels on average: 36 products for 6 pixels, where 9 each do
POINTS = (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)  # and infinity; least rounding error in float32, twice
# that of the plain sum. With 0, 1, 2 and their negatives, as in the paper, it is four times.


class Tiles(Grid):
    """The submanifold kernel map once more, by tiles of the image; built when first needed."""

    @cached_property
    def count(self) -> int:
        """T, without their table."""
        return int(self._is_tile.sum())

    @cached_property
    def table(self) -> Tensor:
        """(T, 36) int32 rows of the patch around each tile, by columns, or inactive."""
        batch, height, width = self._wide.shape
        image, y, x = self._is_tile.nonzero().unbind(1)
        corners = (image * height + TILE * y) * width + TILE * x
        steps = window(PATCH, PATCH, width, corners.device)
        return look_up(self._wide.flatten(), corners, steps)

    @cached_property
    def active(self) -> Tensor:
        """(N,) int64 where the active pixels are among the 16 * T of the tiles, by columns."""
        rows = self._inner.flatten()
        places = (rows != self.inactive).nonzero().squeeze(1)
        return torch.empty_like(places).index_copy_(0, rows[places].long(), places)

    def blocks(self, tiles: int) -> Iterator[tuple[slice, slice]]:
        """
        Split into slices of the tiles and of the active pixels, of so many tiles if that can be.

        Pixels come by rows of the image, so that only whole rows of tiles have theirs together.
        """
        first = last = (0, 0)
        for end in self._ends:
            if end[0] - first[0] > tiles and last != first:
                yield tuple(map(slice, first, last))
                first = last
            last = end
        if last != first:
            yield tuple(map(slice, first, last))

    @cached_property
    def _ends(self) -> list[tuple[int, int]]:
        """For each row of tiles, the numbers of tiles and of active pixels to its end."""
        tiles = self._is_tile.sum(2).flatten().cumsum(0)
        pixels = F.pad((self._inner != self.inactive).sum((1, 2)).cumsum(0), (1, 0))[tiles]
        return list(zip(tiles.tolist(), pixels.tolist()))

    @cached_property
    def _wide(self) -> Tensor:
        """(B, H' + 2, W' + 2) index map of an image that whole tiles cover."""
        batch, height, width = self.mask.shape
        index_map = self.index_map.view(batch, height + 2, width + 2)
        return F.pad(index_map, (0, -width % TILE, 0, -height % TILE), value=self.inactive)

    @cached_property
    def _is_tile(self) -> Tensor:
        """(B, H' / 4, W' / 4) whether any of the pixels is active."""
        is_active = self._wide[:, 1:-1, 1:-1] != self.inactive
        return is_active.unflatten(2, (-1, TILE)).unflatten(1, (-1, TILE)).any(4).any(2)

    @property
    def _inner(self) -> Tensor:
        """(T, 4, 4) rows of each tile's own pixels, by columns."""
        return self.table.view(-1, PATCH, PATCH)[:, 1:-1, 1:-1]


def pays(tiles: Tiles) -> bool:
    """Tell whether there are enough tiles, and enough active pixels in them."""
    return tiles.count >= FEWEST_TILES and tiles.inactive >= FEWEST_ACTIVE * tiles.count


def multiply(
    padded: Tensor, weight: Tensor, tiles: Tiles, shift: Tensor | None, out: Tensor
):
    """(> N, Cin), row N zero, (9, Cin, Cout) -> out (>= N, Cout); a shift as in the reference."""
    cin, cout = weight.shape[1:]
    evaluate, evaluate_kernel, interpolate = (matrix.to(weight) for matrix in TRANSFORMS)
    kernel = (evaluate_kernel @ weight.flatten(1)).view(-1, cin, cout)  # (36, Cin, Cout)
    most = BLOCK_BYTES // (PATCH**2 * cin * weight.element_size())
    blocks = list(tiles.blocks(most))
    room = max(some.stop - some.start for some, _ in blocks) * PATCH**2 * max(cin, cout)
    here, there = weight.new_empty((2, room))
    for some, pixels in blocks:
        table = tiles.table[some]
        count, width = table.shape
        patches = torch.index_select(
            padded, 0, table.flatten(), out=_as(here, count * width, cin)).view(count, width, cin)
        values = torch.bmm(
            evaluate.expand(count, -1, -1), patches, out=_as(there, count, width, cin))
        products = torch.bmm(values.transpose(0, 1), kernel, out=_as(here, width, count, cout))
        results = torch.bmm(interpolate.expand(count, -1, -1), products.transpose(0, 1),
                            out=_as(there, count, TILE**2, cout))
        places = tiles.active[pixels] - TILE**2 * some.start
        torch.index_select(results.view(-1, cout), 0, places, out=out[pixels])
        if shift is not None:
            out[pixels].add_(shift).relu_()


def _as(buffer: Tensor, *shape: int) -> Tensor:
    """View the beginning of a buffer in this shape."""
    return buffer[: math.prod(shape)].view(shape)


def _toom_cook() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    (6, 6), (6, 3), (4, 6) float64: evaluate a patch, a kernel; interpolate; along one side.

    The divisors of Lagrange's interpolation go with the kernel, so that the other two matrices are
    exact in float32. At infinity, the last point, a polynomial's value is its leading coefficient.
    """
    points = np.array(POINTS)
    others = [np.delete(points, i) for i in range(len(points))]
    divisors = [np.prod(point - rest) for point, rest in zip(points, others)]
    patch = [*(np.append(polyfromroots(rest), 0) for rest in others), polyfromroots(points)]
    kernel = np.vstack((polyvander(points, 2) / np.array(divisors)[:, None], np.eye(3)[-1]))
    outputs = np.vstack((polyvander(points, TILE - 1), np.eye(TILE)[-1]))
    return np.stack(patch), kernel, outputs.T


TRANSFORMS = tuple(torch.from_numpy(np.kron(matrix, matrix)) for matrix in _toom_cook())
