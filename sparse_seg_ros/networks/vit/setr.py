# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decoders of SETR: Tokens -> logits, by convolutions over the grid of patches.

Zheng et al., "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
Transformers", decoder designs: naive, progressive upsampling (PUP) and multi-level aggregation
(MLA). Convolutions need neighbours, so merged tokens are given back to their patches before.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.compact import ConvNorm, double
from sparse_seg_ros.networks.vit.tokens import Tokens

WIDTH = 256


class NaiveDecoder(nn.Module):
    """Each patch by itself, through one hidden layer: Tokens -> (B, C, rows, columns)."""

    parts = (Fraction(1),)  # of the depth, after which it takes tokens from the encoder

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.hidden = ConvNorm(dim, WIDTH, 1)
        self.head = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        grid = patches_of(tokens)  # (B, d, rows, columns)
        return self.head(F.relu(self.hidden(grid)))


class ProgressiveDecoder(nn.Module):
    """Four times a convolution, then twice the size: Tokens -> (B, C, 16 rows, 16 columns)."""

    parts = (Fraction(1),)

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.steps = nn.ModuleList(ConvNorm(a, WIDTH) for a in (dim, WIDTH, WIDTH, WIDTH))
        self.head = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        grid = patches_of(tokens)  # (B, d, rows, columns)
        for step in self.steps:
            grid = double(F.relu(step(grid)))
        return self.head(grid)


class AggregatingDecoder(nn.Module):
    """Four layers of the encoder, each added to those above: -> (B, C, 4 rows, 4 columns)."""

    parts = tuple(Fraction(part, 4) for part in (1, 2, 3, 4))

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        half, quarter = dim // 2, dim // 4
        self.first = nn.ModuleList(ConvNorm(dim, half, 1) for _ in self.parts)
        self.rest = nn.ModuleList(
            nn.Sequential(ConvNorm(half, half), nn.ReLU(), ConvNorm(half, half), nn.ReLU(),
                          ConvNorm(half, quarter), nn.ReLU()) for _ in self.parts)
        self.head = nn.Conv2d(len(self.parts) * quarter, num_classes, 1)

    def forward(self, *streams: Tokens) -> Tensor:
        grids = [F.relu(first(patches_of(tokens))) for first, tokens in zip(self.first, streams)]
        for above in range(len(grids) - 1, 0, -1):
            grids[above - 1] = grids[above - 1] + grids[above]
        grids = [double(double(rest(grid))) for rest, grid in zip(self.rest, grids)]
        return self.head(torch.cat(grids, 1))


def patches_of(tokens: Tokens) -> Tensor:
    """Tokens -> (B, d, rows, columns) value of each patch."""
    return tokens.to_grid(tokens.values[:, 1:])
