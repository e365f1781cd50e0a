# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Low-resolution self-attention (LRSA): every pixel attends to the whole image, on small grids.

LRFormer, section 3.1 and, for the pyramid, 3.4. Queries come from the map averaged down to a grid
with a short side of 16 and the map's aspect, keys and values from four such grids, still coarser.
The answers return to the map bilinearly. The grids' short sides are fixed, so the cost grows with
the aspect of the image, not with its size. A map smaller than a grid is repeated to fill it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PYRAMID = (11 / 16, 8 / 16, 6 / 16, 4 / 16)  # short sides of the keys' grids / of the queries'


class LowResolutionAttention(nn.Module):
    """(B, C, H, W) -> (B, C, H, W): what each pixel learns from the whole map."""

    def __init__(self, width: int, heads: int, query_side: int = 16, repeats: bool = True):
        """repeats: a map smaller than the queries' grid fills it, instead of asking as it is."""
        super().__init__()
        self.heads, self.query_side, self.repeats = heads, query_side, repeats
        self.pyramid_sides = [round(query_side * part + 0.001) for part in PYRAMID]
        self.q = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, convs: nn.ModuleList | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); convs: one for each grid of the pyramid, if any."""
        is_small = min(x.shape[-2:]) < self.query_side
        asking = x if is_small and not self.repeats else pool(x, self.query_side)  # (B, C, h, w)
        context = self.norm(self.pyramid(x, convs))  # (B, M, C)
        heard = attend(self.q(tokens(asking)), self.kv(context), self.heads)
        answer = self.proj(heard)  # (B, h w, C)
        answer = answer.mT.unflatten(2, asking.shape[-2:])  # (B, C, h, w)
        return resize(answer, x.shape[-2:])

    def pyramid(self, x: Tensor, convs: nn.ModuleList | None) -> Tensor:
        """(B, C, H, W) -> (B, M, C): the pixels of all grids that keys and values come from."""
        grids = [pool(x, side) for side in self.pyramid_sides]
        if convs is not None:
            grids = [grid + conv(grid) for grid, conv in zip(grids, convs)]
        return torch.cat([tokens(grid) for grid in grids], dim=1)


def attend(queries: Tensor, keys_values: Tensor, heads: int) -> Tensor:
    """(B, N, C) queries, (B, M, 2 C) keys and values -> (B, N, C): what each query hears."""
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, ., C / heads)
                         for x in (queries, *keys_values.chunk(2, dim=-1)))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def pool(x: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> (B, C, h, w), averaged; the shorter of h and w is `side`."""
    return F.adaptive_avg_pool2d(x, grid_size(side, *x.shape[-2:]))


def grid_size(side: int, height: int, width: int) -> tuple[int, int]:
    """Short side of a grid, size of a map -> (h, w) of the grid, with the aspect of the map."""
    longer = round(side * max(height, width) / min(height, width) + 0.001)
    return (side, longer) if height <= width else (longer, side)


def tokens(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C)."""
    return x.flatten(2).mT


def resize(x: Tensor, size_hw: torch.Size) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W), bilinear."""
    return F.interpolate(x, size=size_hw, mode='bilinear', align_corners=False)
