# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Active pixels of a batch of images, and their neighbours.

A `Level` builds the tables of its convolutions when they are first needed, and every layer of that
level shares them. Neighbours come from one dense int32 index map of the image, not from hash
tables. A missing neighbour points at row N, one past the last: a row of zeros, or no row.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.sparse.grid import look_up, window
from sparse_seg_ros.sparse.kernel_map import KernelMap, KernelMapPart, RowRuns
from sparse_seg_ros.sparse.winograd import Tiles

ALL_NINE = tuple(range(9))  # kernel index = dy + 3 * dx
KERNELS_BY_PARITY = tuple(  # for which (y - dy, x - dx) is even, so twice a coarser site
    tuple(dy + 3 * dx for dx in steps_x for dy in steps_y)
    for steps_y in ((0, 2), (1,)) for steps_x in ((0, 2), (1,)))


class Level:
    """
    Active pixels of (B, H, W) images in row-major (b, y, x) order.

    padding: of the strided convolution to the next coarser level, and of those after it.
    """

    is_padded = False  # whether some rows stand for no pixel, see PaddedLevel

    def __init__(self, mask: Tensor, padding: int = 0):
        """(B, H, W) bool: True where active; padding 0 or 1."""
        if mask.dim() != 3 or mask.dtype != torch.bool:
            raise ValueError(
                f'mask must be (B, H, W) bool, got {tuple(mask.shape)} {mask.dtype}; '
                'compare scores with a threshold'
            )
        self.mask, self.padding = mask, padding

    def __len__(self) -> int:
        """Count the rows."""
        return self.flat.numel()

    @cached_property
    def flat(self) -> Tensor:
        """(N,) int64 position of each site in the flattened (B, H, W) mask."""
        return self.members(self.mask.flatten())[0]

    @property
    def active(self) -> Tensor | None:
        """(1,) int32 number of active pixels, where only the device knows it, else None."""
        return None

    @cached_property
    def places(self) -> Tensor:
        """(N,) int64 position in the flattened (B, H, W) from which each row may read."""
        return self.flat

    @cached_property
    def sites(self) -> Tensor:
        """(N, 3) int64 places as (b, y, x)."""
        height, width = self.mask.shape[1:]
        row = self.places // width
        batch = row // height
        return torch.stack((batch, row - batch * height, self.places - row * width), dim=1)

    @cached_property
    def coarser(self) -> Level:
        """Level of a 3x3 stride-2 convolution: active if ANY of its nine inputs is."""
        mask = F.pad(self.mask, (self.padding,) * 4)
        height, width = mask.shape[1:]
        if min(height, width) < 3:
            raise ValueError(
                f'a strided 3x3 convolution needs 3x3 pixels or more, got {height}x{width}; '
                'use larger images or fewer stages'
            )
        rows = mask[:, :-2:2] | mask[:, 1:-1:2] | mask[:, 2::2]
        return self.make_coarser(rows[..., :-2:2] | rows[..., 1:-1:2] | rows[..., 2::2])

    def make_coarser(self, mask: Tensor) -> Level:
        """(B, h, w) bool of the coarser pixels -> their level."""
        return Level(mask, self.padding)

    def grown(self, multiple: int, padding: int) -> Level:
        """Level of these pixels and their neighbours, on images with sides of a multiple."""
        wide = F.pad(self.mask, (1, 1, 1, 1))
        rows = wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
        mask = rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]
        height, width = (-side % multiple for side in mask.shape[1:])
        return self.make_grown(F.pad(mask, (0, width, 0, height)), padding)

    def make_grown(self, mask: Tensor, padding: int) -> Level:
        """(B, h, w) bool of these pixels and their neighbours -> their level."""
        return Level(mask, padding)

    @cached_property
    def neighbours(self) -> KernelMap:
        """KernelMap of the submanifold 3x3 convolution: this level to itself."""
        table, count = self._table_of(self, 1, 1), len(self)
        there, back = (KernelMapPart(table, kernels, count, active=self.active)
                       for kernels in (ALL_NINE, ALL_NINE[::-1]))
        grid = (self.mask, self._index_map, count)
        if self.is_padded:
            return KernelMap((there,), (back,), count, count, is_padded=True)
        return KernelMap((there,), (back,), count, count, False, RowRuns(*grid), Tiles(*grid))

    @cached_property
    def down(self) -> KernelMap:
        """Kernel map of the strided 3x3 convolution to `coarser`; its adjoint comes back."""
        coarser = self.coarser
        there = KernelMapPart(self._table_of(coarser, 2, self.padding), ALL_NINE, len(self),
                              active=coarser.active)
        return KernelMap((there,), self._parts_back(), len(self), len(coarser), self.is_padded)

    def _table_of(self, outputs: Level, stride: int, padding: int) -> Tensor:
        """Level of the outputs of a 3x3 convolution -> (its length, 9) int32 rows of this one."""
        batch, y, x = outputs.sites.unbind(1)
        corners = self._positions(batch, stride * y - padding, stride * x - padding)
        corners = outputs.fill_padding(corners, self._nowhere)
        return look_up(self._index_map, corners, window(3, 3, self._pitch, corners.device))

    def _parts_back(self) -> tuple[KernelMapPart, ...]:
        """Pair these sites, by the parity of row and column, with those of `coarser`."""
        batch, y, x = self.sites.unbind(1)
        y, x = y + self.padding, x + self.padding
        parity = self.fill_padding(y % 2 * 2 + x % 2, -1)
        last = self.coarser._positions(batch, y // 2, x // 2)  # of the window of a site's outputs
        return tuple(self._reached(number, last, *self.members(parity == number))
                     for number in range(len(KERNELS_BY_PARITY)))

    def _reached(self, parity: int, last: Tensor, rows: Tensor,
                 active: Tensor | None) -> KernelMapPart:
        """Pair the sites of one parity with the coarser ones, through the kernels that fit it."""
        height, width = 2 - parity // 2, 2 - parity % 2
        steps = -window(height, width, self.coarser._pitch, last.device)
        table = look_up(self.coarser._index_map, last[rows], steps)
        return KernelMapPart(table, KERNELS_BY_PARITY[parity], len(self.coarser), rows, active)

    def members(self, is_member: Tensor) -> tuple[Tensor, Tensor | None]:
        """(n,) bool -> (M,) int64 numbers of the members, and M as of `active`."""
        return is_member.nonzero().squeeze(1), None

    def fill_padding(self, values: Tensor, value: int) -> Tensor:
        """(..., N) -> the same, with a value for the rows that stand for no pixel."""
        return values

    @cached_property
    def _index_map(self) -> Tensor:
        """(B * (H + 2) * (W + 2),) int32 row of each pixel, N where inactive as the border is."""
        index_map = torch.full((self._nowhere,), len(self), dtype=torch.int32,
                               device=self.mask.device)
        rows = torch.arange(len(self), dtype=torch.int32, device=self.mask.device)
        index_map[self._positions(*self.sites.unbind(1))] = rows
        return index_map

    def rows_at(self, batch: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(n,) each, active pixels -> (n,) int64 row of each."""
        return self._index_map[self._positions(batch, y, x)].long()

    @property
    def _pitch(self) -> int:
        """Distance between image rows in the index map."""
        return self.mask.shape[2] + 2

    @property
    def _nowhere(self) -> int:
        """Position in the index map after the last image."""
        return len(self.mask) * (self.mask.shape[1] + 2) * self._pitch

    def _positions(self, batch: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(n,) each -> (n,) position in the index map, which has a border of one pixel."""
        return (batch * (self.mask.shape[1] + 2) + y + 1) * self._pitch + x + 1
