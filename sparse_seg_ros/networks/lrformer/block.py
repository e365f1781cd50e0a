# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The basic block: depth-wise convolution, attention and feed-forward network, each added to x.

LRFormer, equation 4 and figure 3. The convolution, `cpe`, sees the details that attention pools
away and encodes positions. Deep stages scale what they add by a learnt, at first tiny factor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.drop_path import drop_path


class Block(nn.Module):
    """(B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, attention: nn.Module, width: int, expansion: int,
                 norm: Callable[[int], nn.Module], has_layer_scale: bool,
                 depthwise_in: str = 'both'):
        """depthwise_in: where there is a depth-wise convolution, one of options.DEPTHWISE."""
        super().__init__()
        self.drop_path = 0.0  # share of the images that do not pass through, in training
        self.layer_scale_1 = layer_scale(width) if has_layer_scale else None
        self.layer_scale_2 = layer_scale(width) if has_layer_scale else None
        self.pre_norm = nn.Identity()  # a batch norm in two blocks of LRFormer-XL
        self.cpe = depthwise(width) if depthwise_in in ('both', 'attention') else None
        self.norm1 = norm(width)
        self.attn = attention
        self.norm2 = norm(width)
        self.mlp = FeedForward(width, expansion, depthwise_in in ('both', 'feed_forward'))

    def forward(self, x: Tensor, convs: nn.ModuleList | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); convs: for the attention's pyramid, if any."""
        x = self.pre_norm(x)
        if self.cpe is not None:
            x = x + self.cpe(x)
        x = x + self.weigh(self.attn(self.norm1(x), convs), self.layer_scale_1)
        return x + self.weigh(self.mlp(self.norm2(x)), self.layer_scale_2)

    def weigh(self, change: Tensor, scale: nn.Parameter | None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), times layer scale and, in training, 0 for some images."""
        if scale is not None:
            change = change * scale[:, None, None]
        if self.training and self.drop_path:
            change = drop_path(change, self.drop_path)
        return change


class FeedForward(nn.Module):
    """(B, C, H, W) -> (B, C, H, W), `expansion` times wider between its 1x1 convolutions."""

    def __init__(self, width: int, expansion: int, convolves: bool = True):
        super().__init__()
        self.fc1 = nn.Conv2d(width, expansion * width, 1)
        self.conv = depthwise(expansion * width) if convolves else None
        self.fc2 = nn.Conv2d(expansion * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.fc1(x))  # (B, expansion C, H, W)
        return self.fc2(x if self.conv is None else x + self.conv(x))


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int, eps: float = 1e-6):
        super().__init__(width, eps)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def depthwise(width: int) -> nn.Conv2d:
    """3x3 convolution of each channel by itself: (B, C, H, W) -> (B, C, H, W)."""
    return nn.Conv2d(width, width, 3, padding=1, groups=width)


def layer_scale(width: int) -> nn.Parameter:
    """(C,) factors of what a part of a block adds; small, so that a block starts as identity."""
    return nn.Parameter(torch.full((width,), 1e-6))
