# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Points of an image: which points are in doubt, and the values of maps there.

Kirillov et al., "PointRend: Image Segmentation as Rendering", section 3.1. A point is (y, x),
fractions of the image's height and width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.reading import bands


def sample_points(values: Tensor, points: Tensor) -> Tensor:
    """(B, F, h, w), (B, N, 2) -> (B, F, N), bilinear between the centres of the pixels."""
    grid = 2 * points.flip(-1)[:, None] - 1  # (B, 1, N, 2) as (x, y) from -1 to 1
    sampled = F.grid_sample(values, grid.to(values.dtype), padding_mode='border',
                            align_corners=False)
    return sampled[:, :, 0]


def centres(positions: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(B, N) flat positions of pixels -> (B, N, 2) points at their centres."""
    y, x = positions // size_hw[1], positions % size_hw[1]
    return torch.stack(((y + 0.5) / size_hw[0], (x + 0.5) / size_hw[1]), dim=-1)


def doubt(logits: Tensor) -> Tensor:
    """(B, C, ...) logits -> (B, ...), from 0 down: the lead of the likeliest class, negated."""
    first, *others = logits.unbind(1)
    second = torch.full_like(first, -torch.inf)
    for other in others:  # on a CPU ten times faster than `topk` over the classes
        second = torch.maximum(second, torch.minimum(first, other))
        first = torch.maximum(first, other)
    return second - first


def most_doubtful(logits: Tensor, count: int) -> Tensor:
    """(B, C, h, w) -> (B, count) flat positions of the pixels with the smallest lead."""
    doubts = torch.cat([doubt(band) for band in bands(logits)], dim=1)  # (B, h, w)
    return doubts.flatten(1).topk(count, dim=1, sorted=False).indices
