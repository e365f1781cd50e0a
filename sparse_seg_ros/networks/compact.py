# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compact: a small convolutional encoder-decoder of our own for two CPU cores or an Orin.

Plain 3x3 convolutions, batch norm and ReLU only, so that every engine runs it fast. Strides go
to 16; dilated blocks there see the whole of a quarter-VGA image, without global pooling, so that
crops and whole frames look alike to it. Logits leave at half the input size and are upsampled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.folding import folded

MEAN = (105.03, 108.41, 110.33)  # CamVid train, RGB in 0..255
STD = (69.90, 72.69, 72.13)


class ConvNorm(nn.Sequential):
    """3x3 (or size x size) convolution and batch norm: (B, a, H, W) -> (B, b, H/s, W/s)."""

    def __init__(self, a: int, b: int, size: int = 3, stride: int = 1, dilation: int = 1,
                 groups: int = 1, **norm: float):
        super().__init__(
            nn.Conv2d(a, b, size, stride, dilation * (size // 2), dilation, groups, bias=False),
            nn.BatchNorm2d(b, **norm))


class Block(nn.Module):
    """Residual pair of 3x3 convolutions: (B, a, H, W) -> (B, b, H/s, W/s)."""

    def __init__(self, a: int, b: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.first = ConvNorm(a, b, stride=stride, dilation=dilation)
        self.second = ConvNorm(b, b, dilation=dilation)
        self.shortcut = nn.Identity() if a == b and stride == 1 else ConvNorm(a, b, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class Compact(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 16."""

    stride, multiple = 1, 16
    mean, std = MEAN, STD
    classifier = 'head'
    widths = (32, 64, 128, 160)  # channels of the encoder's maps at strides 2, 4, 8, 16

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.add_encoder()
        self.dropout = nn.Dropout2d(0.1)
        self.laterals = nn.ModuleList(ConvNorm(a, 64, 1) for a in self.widths[:0:-1])
        self.smooth = nn.ModuleList(Block(64, 64) for _ in range(2))
        self.join = Block(64 + self.widths[0], 48)
        self.head = nn.Conv2d(48, num_classes, 1)

    def add_encoder(self) -> None:
        """Make what `encode` runs."""
        self.stem = nn.Sequential(ConvNorm(3, 32, stride=2), nn.ReLU(), Block(32, 32))
        self.quarter = nn.Sequential(Block(32, 64, stride=2), Block(64, 64))
        self.eighth = nn.Sequential(Block(64, 128, stride=2), Block(128, 128), Block(128, 128))
        self.sixteenth = nn.Sequential(
            Block(128, 160, stride=2), Block(160, 160, dilation=2), Block(160, 160, dilation=4),
            Block(160, 160, dilation=1))

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> maps of `widths` channels at strides 2, 4, 8 and 16."""
        half = self.stem(image)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        return half, quarter, eighth, self.sixteenth(eighth)

    def forward(self, image: Tensor) -> Tensor:
        return self.with_maps(image)[0]

    def with_maps(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> logits, and the encoder's maps at strides 8 and 16."""
        maps = self.encode(image)
        return self.doubled(self.decode(*maps)), *maps[2:]

    def decode(self, half: Tensor, quarter: Tensor, eighth: Tensor, sixteenth: Tensor) -> Tensor:
        """Maps of the encoder -> (B, C, H/2, W/2) logits."""
        x = self.laterals[0](self.dropout(sixteenth))
        for skip, lateral, smooth in zip((eighth, quarter), self.laterals[1:], self.smooth):
            x = smooth(F.relu(lateral(skip) + self.doubled(x)))
        return self.head(self.join(torch.cat((self.doubled(x), half), 1)))  # 48 channels

    @staticmethod
    def doubled(x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return double(x)

    def for_inference(self) -> nn.Module:
        """Return a copy that computes the same without norms; it can not learn or be saved."""
        return folded(self)


def double(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear."""
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
