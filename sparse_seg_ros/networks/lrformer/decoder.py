# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The decoder: three scales joined at 1/8 and thought over twice. LRFormer, section 3.3.

Its blocks are the encoder's with batch norms in front, with grids twice as fine for attention,
and without convolutions on them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.lrformer.attention import LowResolutionAttention, resize
from sparse_seg_ros.networks.lrformer.block import Block


class Decoder(nn.Module):
    """[F1, F2, F3, F4] -> (B, C, H/8, W/8) logits, at the size of F2."""

    def __init__(self, widths: tuple[int, ...], width: int, num_classes: int):
        super().__init__()
        self.squeeze1 = Squeeze(sum(widths[1:]), width)
        self.fuse_block1 = fuse_block(width)
        self.squeeze2 = Squeeze(width + widths[3], width)
        self.fuse_block2 = fuse_block(width)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        second, third, fourth = (resize(f, features[1].shape[-2:]) for f in features[1:])
        x = self.squeeze1(torch.cat((second, third, fourth), dim=1))  # (B, width, H/8, W/8)
        x = self.fuse_block1(x)
        x = self.squeeze2(torch.cat((x, fourth), dim=1))
        x = self.fuse_block2(x)
        return self.conv_seg(self.dropout(x))


class Squeeze(nn.Module):
    """1x1 convolution, batch norm and ReLU: (B, a, H, W) -> (B, b, H, W)."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.conv = nn.Conv2d(a, b, 1, bias=False)
        self.bn = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class TokenConv(nn.Conv2d):
    """A 1x1 convolution, as the release stores it, of (B, N, C) tokens -> (B, N, C)."""

    def __init__(self, width: int):
        super().__init__(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.flatten(1), self.bias)


def fuse_block(width: int) -> Block:
    """Make a block of the decoder: (B, C, H/8, W/8) -> (B, C, H/8, W/8)."""
    attention = LowResolutionAttention(width, heads=8, query_side=32)
    attention.q = TokenConv(width)
    return Block(attention, width, expansion=4, norm=nn.BatchNorm2d, has_layer_scale=True)
