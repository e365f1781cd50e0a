# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Selected pixels as blocks: the pixels under one low-resolution pixel are one site of the U-Net.

Not in the paper. With a network at half the size, the selected pixels come as 2x2 blocks. The
extractor gets a block's pixels side by side (space to depth) and predicts the logits of all of
them (pixel shuffle). So it has a quarter of the sites, four times the channels a site, neighbour
tables of the low-resolution grid, and twice the reach of every convolution.

Where an image's side is no multiple of the low-resolution one, blocks differ in size by a pixel;
their pixels are then assigned in proportion, as those of any other scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sparse_seg_ros.methods.sparse_refine.selection import most_covered, nearest_rows, upsample
from sparse_seg_ros.networks.images import size_of
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.padded_level import Rectangles, make_level


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
        ends = torch.searchsorted(sources, torch.arange(low, device=device), right=True)
        return Axis(sources, firsts.clamp_max(full - 1), (ends - firsts).clamp_min(1))

    def members(self, rows: Tensor, side: int) -> Tensor:
        """(N,) low-resolution rows -> (N, side) rows of the image that stand for each."""
        steps = torch.arange(side, device=rows.device)
        return self.firsts[rows, None] + steps * self.counts[rows, None] // side

    def places(self, rows: Tensor, side: int) -> Tensor:
        """(M,) rows of the image -> (M,) which of the `side` members each is, or is closest to."""
        low = self.sources[rows]
        counts, steps = self.counts[low], (rows - self.firsts[low]) * side
        return torch.where(counts < side, (steps + counts - 1) // counts, steps // counts)


class Pixels:
    """Selected pixels as sites of their own."""

    def __init__(self, selected: Tensor, low_hw: tuple[int, int],
                 bound: Rectangles | None = None):
        """(B, H, W) bool, the size of the low-resolution grid, a bound of the selected."""
        self.selected, self.low_hw = selected, low_hw
        self.level = make_level(selected, bound)

    @property
    def flat(self) -> Tensor:
        """(N,) int64 position of each pixel in the flattened (B, H, W), or one past it."""
        return self.level.flat

    @property
    def low(self) -> tuple[Tensor, Tensor, Tensor]:
        """(M,) batch, y and x of the low-resolution pixel of each site."""
        batch, y, x = self.level.sites.unbind(1)
        y, x = (nearest_rows(low, full, at.device)[at]
                for low, full, at in zip(self.low_hw, self.selected.shape[1:], (y, x)))
        return batch, y, x

    def gather(self, image: Tensor) -> Tensor:
        """(B, F, H, W) -> (M, F) of the sites."""
        return image.movedim(1, -1)[self.level.sites.unbind(1)]

    def spread(self, outputs: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """(C, M) outputs of the sites, (C, M) coarse -> (C, 1, N) of the pixels, and (C, N)."""
        return outputs[:, None], coarse


class Blocks:
    """Selected pixels as blocks of side x side, one site each."""

    def __init__(self, chosen: Tensor, size_hw: tuple[int, int], side: int,
                 bound: Rectangles | None = None):
        """(B, h, w) bool of the low-resolution grid, the image's size, a bound of the chosen."""
        self.size_hw, self.side, self.bound = size_hw, side, bound
        self.level = make_level(chosen, bound)

    @property
    def low(self) -> tuple[Tensor, Tensor, Tensor]:
        """(M,) batch, y and x of the low-resolution pixel of each site."""
        batch, y, x = self.level.sites.unbind(1)
        return batch, y, x

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        mask = self.level.mask
        rows, columns = (Axis.of(low, full, mask.device)
                         for low, full in zip(mask.shape[1:], self.size_hw))
        return rows, columns

    @property
    def are_whole(self) -> bool:
        """True if every block has side x side pixels."""
        return self.size_hw == tuple(self.side * low for low in self.level.mask.shape[1:])

    @cached_property
    def selected(self) -> Tensor:
        """(B, H, W) bool."""
        return upsample(self.level.mask, self.size_hw)

    @cached_property
    def pixels(self) -> Level:
        """Level of the pixels, where blocks are not whole."""
        low_hw = size_of(self.level.mask)
        return make_level(self.selected, enlarged(self.bound, low_hw, self.size_hw))

    @cached_property
    def flat(self) -> Tensor:
        """
        (N,) int64 position of each pixel in the flattened (B, H, W), one past it of a padded one.

        Whole blocks: first of the first pixel of each block, then of the second, and so on.
        """
        if not self.are_whole:
            return self.pixels.flat
        (batch, y, x), (height, width), side = self.low, self.size_hw, self.side
        corners = (batch * height + y * side) * width + x * side
        steps = torch.arange(side, device=corners.device)
        flat = (steps[:, None] * width + steps).flatten()[:, None] + corners  # (k, M)
        nowhere = len(self.level.mask) * height * width
        return self.level.fill_padding(flat, nowhere).flatten()

    def gather(self, image: Tensor) -> Tensor:
        """(B, F, H, W) -> (M, side * side * F), pixels in row-major order, space to depth."""
        batch, y, x = self.low
        rows, columns = (axis.members(at, self.side) for axis, at in zip(self.axes, (y, x)))
        values = image.movedim(1, -1)[
            batch[:, None, None], rows[:, :, None], columns[:, None, :]]  # (M, side, side, F)
        return values.flatten(1)

    def spread(self, outputs: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """
        Pixel shuffle: (C * side * side, M) outputs, (C, M) coarse -> (C, k, M'), (C, M').

        Whole blocks: k = side * side pixels of each of M' = M sites. Else k = 1 and M' = N pixels.
        """
        outputs = outputs.unflatten(0, (-1, self.side ** 2))  # (C, side * side, M)
        if self.are_whole:
            return outputs, coarse
        batch, y, x = self.pixels.sites.unbind(1)
        rows, columns = self.axes
        block = self.level.rows_at(batch, rows.sources[y], columns.sources[x])
        place = rows.places(y, self.side) * self.side + columns.places(x, self.side)
        return outputs[:, place, block][:, None], coarse[:, block]


def enlarged(bound: Rectangles | None, low_hw: tuple[int, int],
             size_hw: tuple[int, int]) -> Rectangles | None:
    """Bound of low-resolution pixels, that size and the image's -> bound of their pixels."""
    return bound and bound.enlarged(*(most_covered(low, full)
                                      for low, full in zip(low_hw, size_hw)))


def sites_of(selected: Tensor, low_hw: tuple[int, int]) -> Tensor:
    """(B, H, W) bool, all or nothing of each low-resolution pixel -> (B, h, w) bool."""
    rows, columns = (Axis.of(low, full, selected.device).firsts
                     for low, full in zip(low_hw, selected.shape[1:]))
    return selected[:, rows][:, :, columns]


def highest_of_blocks(values: Tensor, low_hw: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, h, w): the highest of the pixels that each low-resolution one covers."""
    for axis, low in enumerate(low_hw, 1):
        size = list(values.shape)
        sources, size[axis] = nearest_rows(low, size[axis], values.device), low
        sources = sources.view(-1, *[1] * (2 - axis)).expand_as(values)
        values = values.new_zeros(size).scatter_reduce(axis, sources, values, 'amax',
                                                       include_self=False)
    return values
