# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The extractor's dense twin: the same layers and channels, over patches without gaps.

Different from the extractor: strided convolutions are padded, so that every stage halves a patch
exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """(P, Cin, S, S) -> (P, planes[0], S, S); S must be a multiple of 2 ** (stages - 1)."""

    def __init__(self, in_channels: int, planes: tuple[int, ...]):
        super().__init__()
        self.stem = conv(in_channels, planes[0])
        self.stages = Stage(planes)
        self.tail = norm_relu(planes[0])

    def forward(self, patches: Tensor) -> Tensor:
        return self.tail(self.stages(self.stem(patches)))


class Stage(nn.Module):
    """One resolution of the U-Net and, inside it, all coarser ones."""

    def __init__(self, planes: tuple[int, ...]):
        super().__init__()
        width, wider = planes[0], planes[1:]
        self.encode = nn.Sequential(Residual(width, width), Residual(width, width))
        self.around = self.decode = None
        if wider:
            self.around = nn.Sequential(
                norm_relu(width), conv(width, wider[0], stride=2), Stage(wider),
                norm_relu(wider[0]),
                nn.ConvTranspose2d(wider[0], width, 3, 2, 1, output_padding=1, bias=False))
            self.decode = nn.Sequential(Residual(2 * width, width), Residual(width, width))

    def forward(self, x: Tensor) -> Tensor:
        skip = self.encode(x)
        if self.around is None or self.decode is None:
            return skip
        return self.decode(torch.cat((skip, self.around(skip)), dim=1))


class Residual(nn.Module):
    """Two pre-activated convolutions beside a shortcut: (P, a, s, s) -> (P, b, s, s)."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.change = nn.Sequential(norm_relu(a), conv(a, b), norm_relu(b), conv(b, b))
        self.shortcut = nn.Identity() if a == b else nn.Conv2d(a, b, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.change(x)


def conv(a: int, b: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution without bias."""
    return nn.Conv2d(a, b, 3, stride, 1, bias=False)


def norm_relu(width: int) -> nn.Sequential:
    """Batch norm and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))
