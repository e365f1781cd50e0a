# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decoders of SETR: Tokens -> logits, by convolutions over the grid of patches.

Zheng et al., "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
Transformers", decoder designs: naive, progressive upsampling (PUP) and multi-level aggregation
(MLA). The last is as in MMSegmentation, whose files load: its widths are 256 and 128, whatever the
encoder's. Convolutions need neighbours, so merged tokens are given back to their patches before.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.compact import ConvNorm, double
from sparse_seg_ros.networks.vit.tokens import Tokens

WIDTH, HALF = 256, 128


class NaiveDecoder(nn.Module):
    """Each patch by itself, through one hidden layer: Tokens -> (B, C, rows, columns)."""

    parts = (Fraction(1),)  # of the depth, after which it takes tokens from the encoder

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.steps = nn.ModuleList([nn.Sequential(ConvNorm(dim, WIDTH, 1), nn.ReLU())])
        self.head = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        grid = patches_of(tokens)  # (B, d, rows, columns)
        return self.head(self.steps[0](grid))


class ProgressiveDecoder(nn.Module):
    """Four times a convolution, then twice the size: Tokens -> (B, C, 16 rows, 16 columns)."""

    parts = (Fraction(1),)

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.steps = nn.ModuleList(nn.Sequential(ConvNorm(a, WIDTH), nn.ReLU())
                                   for a in (dim, WIDTH, WIDTH, WIDTH))
        self.head = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        grid = patches_of(tokens)  # (B, d, rows, columns)
        for step in self.steps:
            grid = double(step(grid))
        return self.head(grid)


class AggregatingDecoder(nn.Module):
    """Four layers of the encoder, each added to those above: -> (B, C, 4 rows, 4 columns)."""

    parts = tuple(Fraction(part, 4) for part in (1, 2, 3, 4))
    normalises = True  # the tokens itself, in place of the encoder

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in self.parts)
        self.first = nn.ModuleList(ConvNorm(dim, WIDTH, 1) for _ in self.parts)
        self.second = nn.ModuleList(ConvNorm(WIDTH, WIDTH) for _ in self.parts)  # last layer first
        self.steps = nn.ModuleList(
            nn.Sequential(ConvNorm(WIDTH, HALF), nn.ReLU(), ConvNorm(HALF, HALF), nn.ReLU())
            for _ in self.parts)
        self.head = nn.Conv2d(len(self.parts) * HALF, num_classes, 1)

    def forward(self, *streams: Tokens) -> Tensor:
        grids = [F.relu(first(patches_of(tokens.map(norm)))) for norm, first, tokens
                 in zip(self.norms, self.first, streams)]  # (B, 256, rows, columns) each
        added = list(accumulate(reversed(grids)))
        grids = [step(F.relu(second(grid))) for second, step, grid
                 in zip(self.second, self.steps, added)]  # (B, 128, rows, columns) each
        grids = [F.interpolate(grid, scale_factor=4, mode='bilinear') for grid in grids]
        return self.head(torch.cat(grids, 1))


def patches_of(tokens: Tokens) -> Tensor:
    """Tokens -> (B, d, rows, columns) value of each patch."""
    return tokens.to_grid(tokens.values[:, 1:])
