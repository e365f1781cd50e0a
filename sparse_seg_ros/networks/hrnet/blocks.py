# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The blocks of HRNet: two residual blocks, and the module that exchanges maps among streams.

"Deep High-Resolution Representation Learning for Visual Recognition", Wang et al., section 3.
Stream i has 1 / 2^(i + 2) of the image's height and width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.compact import ConvNorm


class Bottleneck(nn.Module):
    """Residual 1x1, 3x3 and 1x1 convolutions: (B, a, H, W) -> (B, 4 middle, H, W)."""

    def __init__(self, a: int, middle: int):
        super().__init__()
        self.conv1 = nn.Conv2d(a, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, 4 * middle, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * middle)
        self.downsample = nn.Identity() if a == 4 * middle else ConvNorm(a, 4 * middle, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.downsample(x) + self.bn3(self.conv3(y)))


class BasicBlock(nn.Module):
    """Residual pair of 3x3 convolutions: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(y)))


class Exchange(nn.Module):
    """Streams [(B, C, H, W), (B, C', H/2, W/2), ...] -> the same, each having heard all others."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(4))) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(message(widths, sender, receiver) for sender in range(len(widths)))
            for receiver in range(len(widths)))

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        streams = [branch(x) for branch, x in zip(self.branches, streams)]
        heard = [[layer(x) for layer, x in zip(layers, streams)] for layers in self.fuse_layers]
        return [F.relu(sum(others, first)) for first, *others in heard]


def message(widths: tuple[int, ...], sender: int, receiver: int) -> nn.Module:
    """Make the layers between two streams: (B, a, H, W) -> (B, b, h, w)."""
    a, b = widths[sender], widths[receiver]
    if sender == receiver:
        return nn.Identity()
    if sender > receiver:
        enlarge = nn.Upsample(scale_factor=2 ** (sender - receiver), mode='bilinear')
        return nn.Sequential(*ConvNorm(a, b, 1), enlarge)
    halvings = [conv_norm_relu(a, a, stride=2) for _ in range(receiver - sender - 1)]
    return nn.Sequential(*halvings, ConvNorm(a, b, stride=2))


def conv_norm_relu(a: int, b: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm and ReLU: (B, a, H, W) -> (B, b, H/s, W/s)."""
    return nn.Sequential(*ConvNorm(a, b, stride=stride), nn.ReLU())
