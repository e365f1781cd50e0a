# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A grid of square patches over images: which patches are uncertain, and where their pixels are.

The grid starts at the top left. If the sides of an image are no multiples of the patch, the last
row and column reach beyond it. There the border is repeated, and its prediction is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.sparse_refine.selection import highest, nearest_rows


def mean_per_patch(values: Tensor, side: int) -> Tensor:
    """(B, H, W) -> (B, rows, columns): means over the pixels inside the image."""
    height, width = values.shape[1:]
    padding = (0, -width % side, 0, -height % side)
    sums, counts = (F.avg_pool2d(F.pad(part[:, None], padding), side)[:, 0]
                    for part in (values, torch.ones_like(values[:1])))
    return sums / counts


def choose(doubts: Tensor, alpha: float, count: int | None) -> Tensor:
    """(B, rows, columns) -> bool: above alpha, and at most count of each image, the highest."""
    chosen = doubts > alpha
    if count is None or count >= doubts[0].numel():
        return chosen
    return chosen & highest(doubts, count)


@dataclass(frozen=True)
class Patches:
    """
    P patches of (B, H, W) images.

    batch (P,) int64: the image of each; rows, columns (P, S) int64: those of its pixels.
    """

    batch: Tensor
    rows: Tensor
    columns: Tensor
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, chosen: Tensor, side: int, size_hw: tuple[int, int]) -> Patches:
        """(B, rows, columns) bool -> the patches that are True, row by row."""
        batch, row, column = chosen.nonzero().unbind(1)
        steps = torch.arange(side, device=chosen.device)
        return cls(batch, row[:, None] * side + steps, column[:, None] * side + steps, size_hw)

    def cut(self, values: Tensor) -> Tensor:
        """(B, C, h, w) of any size -> (P, C, S, S), nearest, the border repeated beyond it."""
        rows, columns = (
            nearest_rows(have, full, values.device)[places.clamp(max=full - 1)]
            for have, full, places in zip(values.shape[2:], self.size_hw,
                                          (self.rows, self.columns)))
        pixels = values.movedim(1, -1)[
            self.batch[:, None, None], rows[:, :, None], columns[:, None, :]]  # (P, S, S, C)
        return pixels.movedim(-1, 1)

    def inside(self) -> Tensor:
        """(P, S, S) bool: the pixels that the image has."""
        height, width = self.size_hw
        return (self.rows < height)[:, :, None] & (self.columns < width)[:, None, :]

    def positions(self) -> Tensor:
        """(N,) int64 positions, in the flattened (B, H, W), of the pixels inside."""
        height, width = self.size_hw
        rows = self.batch[:, None] * height + self.rows
        return (rows[:, :, None] * width + self.columns[:, None, :])[self.inside()]
