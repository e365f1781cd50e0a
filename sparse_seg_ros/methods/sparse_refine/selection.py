# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Selection of the pixels to refine: those the low-resolution network is unsure of.

SparseRefine, section 3.1. The release upsamples the logits to full size by nearest neighbour, then
takes the entropy. Entropy is per pixel, so taking it at the low resolution and upsampling the
decision is the same selection, exactly, at any scale. Not in the release: a budget of pixels per
image, which bounds what a frame may cost and, alone, makes every shape static.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.kernels.switch import kernels_of
from sparse_seg_ros.sparse.padded_level import Rectangles


@dataclass(frozen=True)
class Selection:
    """
    The low-resolution pixels that are refined.

    chosen: (B, h, w) bool. is_cut: whether the budget kept some out; () bool on the device where
    there is a bound. bound: of the chosen pixels, where no shape may depend on how many they are.
    """

    chosen: Tensor
    is_cut: bool | Tensor
    bound: Rectangles | None = None


def choose(scores: Tensor, alpha: float, count: int | None, is_static: bool) -> Selection:
    """
    (B, h, w) scores -> those above alpha, at most `count` of each image; None: no limit.

    is_static: give a bound in place of what the host would have to wait for; it needs a count.
    """
    chosen = select(scores, alpha, count)
    if count is None:
        return Selection(chosen, False)
    is_cut = ((scores > alpha) & ~chosen).any()
    if is_static:
        return Selection(chosen, is_cut, Rectangles(len(scores) * count))
    return Selection(chosen, bool(is_cut))


def select(scores: Tensor, alpha: float, count: int | None = None) -> Tensor:
    """
    (B, h, w) scores of a selector -> (B, h, w) bool: above alpha.

    count: largest number of pixels of each image; the highest are taken.
    """
    if count is None or count >= scores[0].numel():
        return scores > alpha
    return (scores > alpha) & highest(scores, count)


def highest(scores: Tensor, count: int) -> Tensor:
    """(B, h, w) -> (B, h, w) bool: the `count` highest of each image; of equals, the first."""
    flat = scores.flatten(1)
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    kernels = kernels_of('scores', flat.device.type) if flat.dtype == torch.float32 else None
    threshold = kernels.kth_highest(flat, count) if kernels else \
        flat.kthvalue(flat.shape[1] - count + 1, dim=1, keepdim=True).values
    above, equal = flat > threshold, flat == threshold
    free = count - above.sum(1, keepdim=True)
    return (above | equal & (equal.cumsum(1) <= free)).view_as(scores)


def count_affordable(budget: float, low_hw: tuple[int, ...], full_hw: tuple[int, ...]) -> int:
    """Fraction of the full-size pixels -> how many low-resolution ones may be refined for it."""
    covered = [math.ceil(full / low) for low, full in zip(low_hw, full_hw)]
    return min(math.floor(budget * math.prod(full_hw)) // math.prod(covered), math.prod(low_hw))


@cache
def most_covered(low: int, full: int) -> int:
    """Sizes of one axis -> most pixels of a low-resolution one, by the host's own arithmetic."""
    scale = np.float32(low) / np.float32(full)
    sources = np.floor(np.arange(full, dtype=np.float32) * scale).astype(np.int64)
    return int(np.bincount(np.minimum(sources, low - 1)).max())


def nearest_rows(low: int, full: int, device: torch.device) -> Tensor:
    """Sizes of one axis -> (full,) int64 source of each pixel, as `F.interpolate` has it."""
    source = torch.arange(low, dtype=torch.float32, device=device)[None, None]
    return F.interpolate(source, size=full, mode='nearest').flatten().long()


def upsample(values: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """(B, h, w) of any type -> (B, H, W) by nearest neighbour."""
    y = nearest_rows(values.shape[1], size_hw[0], values.device)
    x = nearest_rows(values.shape[2], size_hw[1], values.device)
    return values[:, y][:, :, x]
