# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The decoder: three scales joined at 1/8, and a global context of low rank. SegNeXt, section 3.2.

The context is the "Hamburger" of "Is Attention Better Than Matrix Decomposition?", Geng et al.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.lrformer.attention import resize
from sparse_seg_ros.networks.segnext.factorisation import Factorisation

GROUPS = 32  # of channels, that are normalised together


class Decoder(nn.Module):
    """[F1, F2, F3, F4] -> (B, C, H/8, W/8) logits, at the size of F2."""

    def __init__(self, widths: tuple[int, ...], width: int, num_classes: int):
        super().__init__()
        self.squeeze = Projection(sum(widths[1:]), width)
        self.hamburger = Hamburger(width)
        self.align = Projection(width, width)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        _, second, third, fourth = features
        coarser = [resize(f, second.shape[2:]) for f in (third, fourth)]
        x = F.relu(self.squeeze(torch.cat((second, *coarser), dim=1)))  # (B, width, H/8, W/8)
        x = F.relu(self.align(self.hamburger(x)))
        return self.conv_seg(self.dropout(x))


class Hamburger(nn.Module):
    """(B, C, H, W) -> (B, C, H, W): each pixel joined with what the whole map shares."""

    def __init__(self, width: int):
        super().__init__()
        self.ham_in = nn.ModuleDict({'conv': nn.Conv2d(width, width, 1)})
        self.ham = Factorisation(width)
        self.ham_out = Projection(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.ham_out(self.ham(F.relu(self.ham_in['conv'](x)))))


class Projection(nn.Module):
    """1x1 convolution and group norm: (B, a, H, W) -> (B, b, H, W)."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.conv = nn.Conv2d(a, b, 1, bias=False)
        self.gn = nn.GroupNorm(GROUPS, b)

    def forward(self, x: Tensor) -> Tensor:
        return self.gn(self.conv(x))
