# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Selected pixels as blocks: what one low-resolution pixel covers is one site of the U-Net.

Not in the paper. With a network at half the size, the selected pixels come as 2x2 blocks. The
extractor gets a block's pixels side by side (space to depth) and says the logits of all of them
(pixel shuffle): a quarter of the sites, four times the channels a site, neighbour tables of the
low-resolution grid, and twice the reach of every convolution.

Where an image's side is no multiple of the low-resolution one, blocks differ in size by a pixel;
their pixels are then assigned in proportion, as those of any other scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_seg_ros.methods.sparse_refine.selection import nearest_rows
from sparse_seg_ros.sparse.level import Level


@dataclass(frozen=True)
class Axis:
    """Rows (or columns) of an image as parts of those of the low-resolution grid."""

    sources: Tensor  # (H,) int64 low-resolution row of each row
    firsts: Tensor  # (h,) int64 first row of each low-resolution one
    counts: Tensor  # (h,) int64 rows of each low-resolution one, at least 1

    @staticmethod
    def of(low: int, full: int, device: torch.device) -> Axis:
        """Sizes of one axis -> Axis, as nearest-neighbour enlargement has it."""
        sources = nearest_rows(low, full, device)
        firsts = torch.searchsorted(sources, torch.arange(low, device=device))
        counts = sources.bincount(minlength=low)
        return Axis(sources, firsts.clamp_max(full - 1), counts.clamp_min(1))

    def members(self, rows: Tensor, side: int) -> Tensor:
        """(N,) low-resolution rows -> (N, side) rows of the image that stand for each."""
        steps = torch.arange(side, device=rows.device)
        return self.firsts[rows, None] + steps * self.counts[rows, None] // side

    def places(self, rows: Tensor, side: int) -> Tensor:
        """(M,) rows of the image -> (M,) which of the `side` members each is, or is closest to."""
        low = self.sources[rows]
        counts, steps = self.counts[low], (rows - self.firsts[low]) * side
        return torch.where(counts < side, (steps + counts - 1) // counts, steps // counts)


@dataclass(frozen=True)
class Blocks:
    """Blocks of side x side pixels: `level` of the low-resolution sites, `pixels` of theirs."""

    level: Level
    pixels: Level
    side: int

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        (low_height, low_width), (height, width) = (
            level.mask.shape[1:] for level in (self.level, self.pixels))
        device = self.level.mask.device
        return Axis.of(low_height, height, device), Axis.of(low_width, width, device)

    def gather(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (N, side * side * C), pixels in row-major order, space to depth."""
        batch, y, x = self.level.sites.unbind(1)
        rows, columns = (axis.members(at, self.side) for axis, at in zip(self.axes, (y, x)))
        values = image.movedim(1, -1)[
            batch[:, None, None], rows[:, :, None], columns[:, None, :]]  # (N, side, side, C)
        return values.flatten(1)

    def spread(self, values: Tensor) -> Tensor:
        """(N, side * side * C) -> (M, C) of the pixels in row-major order, pixel shuffle."""
        batch, y, x = self.pixels.sites.unbind(1)
        rows, columns = self.axes
        block = self.level.rows_at(batch, rows.sources[y], columns.sources[x])
        place = rows.places(y, self.side) * self.side + columns.places(x, self.side)
        return values.unflatten(1, (self.side ** 2, -1)).flatten(0, 1)[
            block * self.side ** 2 + place]
