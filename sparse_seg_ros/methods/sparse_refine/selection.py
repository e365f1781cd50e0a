# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Selection of the pixels to refine: those the low-resolution network is unsure of.

SparseRefine, section 3.1. The release upsamples the logits to full size by nearest neighbour, then
takes the entropy. Entropy is per pixel, so taking it at the low resolution and upsampling the
decision is the same selection, exactly, at any scale.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_FLOOR = math.log(1e-5)
BAND_VALUES = 1 << 18  # 1 MiB of float32


def entropy(logits: Tensor) -> Tensor:
    """(B, C, ...) logits -> (B, ...) entropy in nats, from 0 (sure) to ln C (no idea)."""
    return entropy_of(logits.log_softmax(dim=1))


def entropy_of(log_p: Tensor) -> Tensor:
    """(B, C, ...) log-probabilities -> (B, ...) entropy in nats."""
    return -(log_p.exp() * log_p.clamp_min(LOG_FLOOR)).sum(dim=1)


def select(logits: Tensor, alpha: float) -> Tensor:
    """(B, C, h, w) logits -> (B, h, w) bool: entropy above alpha nats."""
    rows = logits.shape[2]
    if logits.device.type == 'cpu':  # in bands that stay in the cache: four times faster
        rows = max(1, BAND_VALUES // (logits.shape[1] * logits.shape[3]))
    return torch.cat([entropy(band) > alpha for band in logits.split(rows, dim=2)], dim=1)


def nearest_rows(low: int, full: int, device: torch.device) -> Tensor:
    """Sizes of one axis -> (full,) int64 source of each pixel, as `F.interpolate` has it."""
    source = torch.arange(low, dtype=torch.float32, device=device)[None, None]
    return F.interpolate(source, size=full, mode='nearest').flatten().long()


def upsample(values: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(B, h, w) of any type -> (B, H, W) by nearest neighbour."""
    y = nearest_rows(values.shape[1], size_hw[0], values.device)
    x = nearest_rows(values.shape[2], size_hw[1], values.device)
    return values[:, y][:, :, x]
