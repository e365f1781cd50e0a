# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Stochastic depth: in training, a residual block is left out for some of the images.

"Deep Networks with Stochastic Depth", Huang et al., section 3.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def drop_path(change: Tensor, share: float) -> Tensor:
    """(B, ...) -> the same, 0 for a share of the images and larger for the others."""
    return change * F.dropout(change.new_ones(len(change), *[1] * (change.ndim - 1)), share)


def growing_shares(depths: tuple[int, ...], stage: int, last: float) -> list[float]:
    """Blocks in each stage, one stage -> share of each of its blocks, 0 for the very first."""
    first = sum(depths[:stage])
    step = last / (sum(depths) - 1)
    return [step * block for block in range(first, first + depths[stage])]
