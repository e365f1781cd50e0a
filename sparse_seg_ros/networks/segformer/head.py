# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The decoder of SegFormer: first each pixel of each scale by itself, then all scales together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.networks.lrformer.attention import resize
from sparse_seg_ros.networks.lrformer.decoder import Squeeze

WIDTH = 256  # in all sizes, unlike Hugging Face's, which is 768 wide from B2 on


class Head(nn.Module):
    """[F1, F2, F3, F4] -> (B, C, H/4, W/4) logits, at the size of F1."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__()
        self.convs = nn.ModuleList(Squeeze(width, WIDTH) for width in widths)
        self.fusion_conv = Squeeze(WIDTH * len(widths), WIDTH)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        size_hw = features[0].shape[-2:]
        levels = [resize(conv(f), size_hw) for conv, f in zip(self.convs, features)]
        x = self.fusion_conv(torch.cat(levels, dim=1))  # (B, 256, H/4, W/4)
        return self.conv_seg(self.dropout(x))
