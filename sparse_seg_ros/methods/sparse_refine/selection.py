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

import torch
from torch import Tensor
from torch.nn import functional as F


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
    threshold = flat.kthvalue(flat.shape[1] - count + 1, dim=1, keepdim=True).values
    above, equal = flat > threshold, flat == threshold
    free = count - above.sum(1, keepdim=True)
    return (above | equal & (equal.cumsum(1) <= free)).view_as(scores)


def count_affordable(budget: float, low_hw: tuple[int, ...], full_hw: tuple[int, ...]) -> int:
    """Fraction of the full-size pixels -> how many low-resolution ones may be refined for it."""
    covered = [math.ceil(full / low) for low, full in zip(low_hw, full_hw)]
    return min(math.floor(budget * math.prod(full_hw)) // math.prod(covered), math.prod(low_hw))


def nearest_rows(low: int, full: int, device: torch.device) -> Tensor:
    """Sizes of one axis -> (full,) int64 source of each pixel, as `F.interpolate` has it."""
    source = torch.arange(low, dtype=torch.float32, device=device)[None, None]
    return F.interpolate(source, size=full, mode='nearest').flatten().long()


def upsample(values: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """(B, h, w) of any type -> (B, H, W) by nearest neighbour."""
    y = nearest_rows(values.shape[1], size_hw[0], values.device)
    x = nearest_rows(values.shape[2], size_hw[1], values.device)
    return values[:, y][:, :, x]
