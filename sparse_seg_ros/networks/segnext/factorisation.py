# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A map as the product of two small non-negative matrices, which hold what its pixels share.

"Is Attention Better Than Matrix Decomposition?", Geng et al., section 2.2.2: columns of X (D x N,
one per pixel) are mixed from 16 basis columns, X ~ U V^T, found by multiplicative updates.

The release draws the first bases anew for every image, after training, too. So it gives different
results for one image. Here that happens in training only; afterwards the first bases are always
the same, drawn once with a fixed seed. MMSegmentation has 16 columns in all sizes, as here. The
authors' own files of SegNeXt-B and -L were trained with 64; they load, but run with 16.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RANK = 16
STEPS_IN_TRAINING, STEPS = 6, 7
TINY = 1e-6  # keeps divisions from 0 / 0


class Factorisation(nn.Module):
    """(B, C, H, W), not negative -> (B, C, H, W) of rank 16, computed in float32 or double."""

    def __init__(self, width: int):
        super().__init__()
        drawn = torch.tensor(np.random.RandomState(0).random_sample((width, RANK)))
        self.register_buffer('bases', F.normalize(drawn, dim=0).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with in_full_precision(x):
            columns = x.flatten(2).to(torch.promote_types(x.dtype, torch.float32))  # (B, C, N)
            bases = self.first_bases(len(x)).to(columns.dtype)  # (B, C, rank)
            steps = STEPS_IN_TRAINING if self.training else STEPS
            return factorise(columns, bases, steps).view_as(x).to(x.dtype)

    def first_bases(self, count: int) -> Tensor:
        """Number of images -> (B, C, rank), of unit length."""
        if self.training:
            drawn = torch.rand(count, *self.bases.shape, device=self.bases.device)
            return F.normalize(drawn, dim=1)
        return self.bases.expand(count, -1, -1)


def factorise(columns: Tensor, bases: Tensor, steps: int) -> Tensor:
    """(B, D, N) and (B, D, rank), not negative -> (B, D, N), their product of low rank."""
    rows = columns.transpose(1, 2)  # (B, N, D)
    shares = (rows @ bases).softmax(-1)  # (B, N, rank)
    for _ in range(steps):
        shares = update(shares, rows, bases)
        bases = update(bases, columns, shares)
    return bases @ update(shares, rows, bases).transpose(1, 2)


def update(left: Tensor, product: Tensor, right: Tensor) -> Tensor:
    """(B, n, rank), (B, n, m), (B, m, rank) -> left, nearer to product = left @ right^T."""
    return left * (product @ right) / (left @ (right.transpose(1, 2) @ right) + TINY)


def in_full_precision(x: Tensor) -> AbstractContextManager:
    """Return a context in which autocast, if it is on, leaves float32 as it is."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
