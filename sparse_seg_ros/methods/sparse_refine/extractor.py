# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse feature extractor: a pre-activation U-Net over the selected pixels.

SparseRefine, section 3.2. Modules are created in the order of the published checkpoint's keys, so
that these map one to one, in order. The release names modules by position, and convolves in 3-D
with a flat axis.
"""

from __future__ import annotations

import torch
from torch import nn

from sparse_seg_ros.sparse.layers import Conv, InverseConv, NormReLU, Pointwise
from sparse_seg_ros.sparse.tensor import SparseTensor


class Extractor(nn.Module):
    """Stem, U-Net and tail: features of the selected pixels in the context of the others."""

    def __init__(
        self, in_channels: int = 3, planes: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
    ):
        super().__init__()
        self.planes, self.width = tuple(planes), planes[0]
        self.stem = Conv(in_channels, planes[0])
        self.stages = Stage(self.planes)
        self.tail = NormReLU(planes[0])

    @property
    def smallest_side(self) -> int:
        """Smallest image side, in pixels, that leaves one pixel at the coarsest stage."""
        return 2 ** len(self.planes) - 1

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, planes[0])."""
        height, width = x.level.mask.shape[1:]
        if min(height, width) < self.smallest_side:
            raise ValueError(
                f'image must be at least {self.smallest_side} px on its short side for '
                f'{len(self.planes)} stages, got {height}x{width}; '
                'use larger images or fewer planes'
            )
        return self.tail(self.stages(self.stem(x)))


class Stage(nn.Module):
    """One resolution of the U-Net and, inside it, all coarser ones."""

    def __init__(self, planes: tuple[int, ...]):
        super().__init__()
        width = planes[0]
        self.encode = nn.Sequential(ResBlock(width, width), ResBlock(width, width))
        self.coarser = Coarser(planes) if len(planes) > 1 else None
        if self.coarser is not None:
            self.decode = nn.Sequential(ResBlock(2 * width, width), ResBlock(width, width))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C)."""
        skip = self.encode(x)
        if self.coarser is None:
            return skip
        context = self.coarser(skip)
        return self.decode(skip.with_features(torch.cat((skip.features, context.features), dim=1)))


class Coarser(nn.Module):
    """Down one level, through the next stage, and up again to the same pixels."""

    def __init__(self, planes: tuple[int, ...]):
        super().__init__()
        width, wider = planes[:2]
        self.norm_down = NormReLU(width)
        self.down = Conv(width, wider, stride=2)
        self.stage = Stage(planes[1:])
        self.norm_up = NormReLU(wider)
        self.up = InverseConv(wider, width)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C)."""
        deep = self.stage(self.down(self.norm_down(x)))
        return self.up(self.norm_up(deep), like=x.level)


class ResBlock(nn.Module):
    """shortcut(x) + Conv(NormReLU(Conv(NormReLU(x)))), no activation after the sum."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.shortcut = (
            Pointwise(in_channels, out_channels) if in_channels != out_channels else nn.Identity()
        )
        self.norm1: nn.Module = NormReLU(in_channels)
        self.conv1: nn.Module = Conv(in_channels, out_channels)
        self.norm2: nn.Module = NormReLU(out_channels)
        self.conv2 = Conv(out_channels, out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, Cout)."""
        change = self.conv2(self.norm2(self.conv1(self.norm1(x))))
        return x.with_features(self.shortcut(x).features + change.features)
