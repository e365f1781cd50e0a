# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Levels whose number of rows is known before their pixels are: a GPU's host never waits for one.

The selection has a budget, so that there are at most so many pixels; rows beyond those that there
are stand for none. What they hold is computed and thrown away: they read from the first pixel,
their tables point nowhere, no table points at them, and they are written nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.kernels.switch import kernels_of
from sparse_seg_ros.sparse.kernel_map import KernelMapPart
from sparse_seg_ros.sparse.level import KERNELS_BY_PARITY, Level

if TYPE_CHECKING:
    from sparse_seg_ros.kernels.tables import Placed


@dataclass(frozen=True)
class Rectangles:
    """A bound of the active pixels: all lie in `count` rectangles of height x width, or fewer."""

    count: int
    height: int = 1
    width: int = 1

    def enlarged(self, height: int, width: int) -> Rectangles:
        """Return those of an image in which each pixel becomes at most height x width."""
        return Rectangles(self.count, self.height * height, self.width * width)

    def grown(self) -> Rectangles:
        """Return those of the pixels and their neighbours."""
        return Rectangles(self.count, self.height + 2, self.width + 2)

    def coarser(self) -> Rectangles:
        """
        Return those of the outputs of a 3x3 convolution of stride 2.

        The outputs whose windows meet n rows are (n + 3) // 2 at most, whatever the padding.
        """
        return Rectangles(self.count, (self.height + 3) // 2, (self.width + 3) // 2)

    def halved(self) -> Rectangles:
        """Return those of the pixels in every second row and column."""
        return Rectangles(self.count, (self.height + 1) // 2, (self.width + 1) // 2)

    def most(self, batch: int, height: int, width: int) -> int:
        """Return how many pixels of (B, H, W) images they hold at most."""
        return min(self.count * self.height * self.width, batch * height * width)


class PaddedLevel(Level):
    """
    A Level of a number of rows that follows from its bound alone; the first ones are its pixels.

    The last row never stands for a pixel, so that there is one to write to what is thrown away;
    without any pixel by the bound there is no row.
    """

    is_padded = True

    def __init__(self, mask: Tensor, bound: Rectangles, padding: int = 0):
        """(B, H, W) bool: True where active; padding as of a Level."""
        super().__init__(mask, padding)
        self.bound, most = bound, bound.most(*mask.shape)
        self.rows = most + 1 if most else 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    @cached_property
    def flat(self) -> Tensor:
        """(N,) int64 position of each site in the flattened (B, H, W); padding: one past it."""
        return self._placed.flat if self._placed else first_members(self._ranks, len(self))

    @cached_property
    def places(self) -> Tensor:
        """(N,) int64 position in the flattened (B, H, W) from which each row may read."""
        return self.flat.masked_fill(self.is_padding, 0)

    @cached_property
    def sites(self) -> Tensor:
        """(N, 3) int64 places as (b, y, x)."""
        return self._placed.sites if self._placed else super().sites

    @cached_property
    def is_padding(self) -> Tensor:
        """(N,) bool, which rows stand for no pixel."""
        return self.flat == self.mask.numel()

    def make_coarser(self, mask: Tensor) -> Level:
        """(B, h, w) bool of the coarser pixels -> their level."""
        return PaddedLevel(mask, self.bound.coarser(), self.padding)

    def make_grown(self, mask: Tensor, padding: int) -> Level:
        """(B, h, w) bool of these pixels and their neighbours -> their level."""
        return PaddedLevel(mask, self.bound.grown(), padding)

    @property
    def active(self) -> Tensor:
        """(1,) int32 number of active pixels."""
        return self._ranks[-1:]

    def members(self, is_member: Tensor) -> tuple[Tensor, Tensor]:
        """
        (N,) bool, pixels of one parity of rows and columns -> (M,) int64, (1,) int32 how many.

        Beyond those that there are, the last row is repeated.
        """
        ranks = is_member.cumsum(0, dtype=torch.int32)
        rows = first_members(ranks, self._most_of_a_parity).clamp_max(len(self) - 1)
        return rows, ranks[-1:]

    @property
    def _most_of_a_parity(self) -> int:
        """Number of pixels of one parity of rows and columns at most."""
        batch, height, width = self.mask.shape
        return self.bound.halved().most(batch, (height + 1) // 2, (width + 1) // 2)

    def fill_padding(self, values: Tensor, value: int) -> Tensor:
        """(..., N) -> the same, with a value for the rows that stand for no pixel."""
        return values.masked_fill(self.is_padding, value)

    @cached_property
    def _ranks(self) -> Tensor:
        """(B * H * W,) int32 number of active pixels up to each, itself included."""
        return self.mask.flatten().cumsum(0, dtype=torch.int32)

    @cached_property
    def _placed(self) -> Placed | None:
        """Where the rows stand, by a kernel; None where torch computes."""
        kernels = kernels_of('tables', self.mask.device.type)
        return kernels and kernels.place(self.mask, self._ranks, len(self), self.padding)

    @cached_property
    def _index_map(self) -> Tensor:
        """(B * (H + 2) * (W + 2) + 3 * (W + 2),) int32 as of a Level, then rows of no image."""
        if self._placed:
            return self._placed.index_map
        rows = (self._ranks.view_as(self.mask) - 1).masked_fill(~self.mask, len(self))
        rows = F.pad(rows, (1, 1, 1, 1), value=len(self))
        return F.pad(rows.flatten(), (0, 3 * self._pitch), value=len(self))

    def _table_of(self, outputs: Level, stride: int, padding: int) -> Tensor:
        """Level of the outputs of a 3x3 convolution -> (its length, 9) int32 rows of this one."""
        kernels = kernels_of('tables', self.mask.device.type)
        if not kernels:
            return super()._table_of(outputs, stride, padding)
        return kernels.table_of_outputs(self._index_map, self.mask.shape[1:], len(self),
                                        outputs.sites, outputs.active, stride, padding)

    def _parts_back(self) -> tuple[KernelMapPart, ...]:
        """Pair these sites, by the parity of row and column, with those of `coarser`."""
        kernels, coarser = kernels_of('tables', self.mask.device.type), self.coarser
        if not (kernels and self._placed):
            return super()._parts_back()
        ranks = self._placed.parities.cumsum(1, dtype=torch.int32)
        rows, tables = kernels.tables_of_inputs(
            coarser._index_map, coarser.mask.shape[1:], self.sites, ranks,
            self._most_of_a_parity, self.padding)
        return tuple(KernelMapPart(table, numbers, len(coarser), *part) for numbers, table, *part
                     in zip(KERNELS_BY_PARITY, tables, rows, ranks[:, -1:]))

    def rows_at(self, batch: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(n,) each -> (n,) int64 row of each, the last one where there is no active pixel."""
        return super().rows_at(batch, y, x).clamp_max(len(self) - 1)


def make_level(mask: Tensor, bound: Rectangles | None = None) -> Level:
    """(B, H, W) bool -> a Level, or a PaddedLevel where there is a bound."""
    return Level(mask) if bound is None else PaddedLevel(mask, bound)


def first_members(ranks: Tensor, count: int) -> Tensor:
    """(n,) int32 numbers of members up to each -> (count,) int64 which they are, then n."""
    wanted = torch.arange(1, count + 1, dtype=ranks.dtype, device=ranks.device)
    return torch.searchsorted(ranks, wanted)
