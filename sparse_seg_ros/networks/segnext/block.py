# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The basic block: multi-scale convolutional attention and a feed-forward network.

"SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation", Guo et al.,
section 3.1 and figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.drop_path import drop_path


class Block(nn.Module):
    """(B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int, expansion: int, drop_path: float = 0.0):
        super().__init__()
        self.drop_path = drop_path  # share of the images that it is left out for in training
        self.norm1 = nn.BatchNorm2d(width)
        self.attn = SpatialAttention(width)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = FeedForward(width, expansion)
        self.layer_scale_1 = nn.Parameter(torch.full((width,), 1e-2))
        self.layer_scale_2 = nn.Parameter(torch.full((width,), 1e-2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.weigh(self.attn(self.norm1(x)), self.layer_scale_1)
        return x + self.weigh(self.mlp(self.norm2(x)), self.layer_scale_2)

    def weigh(self, change: Tensor, scale: Tensor) -> Tensor:
        """(B, C, H, W), (C,) -> (B, C, H, W): what a part of the block adds."""
        change = change * scale[:, None, None]
        return drop_path(change, self.drop_path) if self.training else change


class SpatialAttention(nn.Module):
    """Multi-scale convolutional attention between 1x1 convolutions: (B, C, H, W) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.proj_1 = nn.Conv2d(width, width, 1)
        self.spatial_gating_unit = MultiScaleGate(width)
        self.proj_2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(F.gelu(self.proj_1(x))))


class MultiScaleGate(nn.Module):
    """
    (B, C, H, W) -> (B, C, H, W), each value times a weight from its surroundings (equation 1).

    The surroundings are seen by a 5x5 convolution and, from there, by three pairs of strips.
    """

    def __init__(self, width: int):
        super().__init__()
        self.conv0 = depthwise(width, 5, 5)
        self.conv0_1, self.conv0_2 = depthwise(width, 1, 7), depthwise(width, 7, 1)
        self.conv1_1, self.conv1_2 = depthwise(width, 1, 11), depthwise(width, 11, 1)
        self.conv2_1, self.conv2_2 = depthwise(width, 1, 21), depthwise(width, 21, 1)
        self.conv3 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.conv0(x)
        seen = (near + self.conv0_2(self.conv0_1(near)) + self.conv1_2(self.conv1_1(near))
                + self.conv2_2(self.conv2_1(near)))
        return x * self.conv3(seen)


class FeedForward(nn.Module):
    """(B, C, H, W) -> (B, C, H, W), `expansion` times wider between its 1x1 convolutions."""

    def __init__(self, width: int, expansion: int):
        super().__init__()
        self.fc1 = nn.Conv2d(width, expansion * width, 1)
        self.dwconv = depthwise(expansion * width, 3, 3)
        self.fc2 = nn.Conv2d(expansion * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.dwconv(self.fc1(x))))


def depthwise(width: int, height: int, length: int) -> nn.Conv2d:
    """Convolution of each channel by itself, height x length: (B, C, H, W) -> (B, C, H, W)."""
    return nn.Conv2d(width, width, (height, length), padding=(height // 2, length // 2),
                     groups=width)
