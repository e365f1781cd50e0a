# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SegFormer in six sizes, as MMSegmentation defines and publishes it.

Xie et al., "SegFormer", table 6. Files of MMSegmentation load with `checkpoints.load`. Folders of
Hugging Face, whose decoder is another, load with `networks.pretrained.from_pretrained`.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.segformer.encoder import Encoder
from sparse_seg_ros.networks.segformer.head import Head


class SegFormer(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H/4, W/4) logits; H and W must be multiples of 32."""

    stride, multiple = 4, 32
    classifier = 'decode_head.conv_seg'
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet, RGB in 0..255
    widths = (64, 128, 320, 512)  # channels of F1 to F4
    depths: tuple[int, ...]       # blocks in each stage

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = Encoder(self.widths, self.depths)
        self.decode_head = Head(self.widths, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode_head(self.backbone(images))


class SegFormerB0(SegFormer):
    """3.7 million parameters."""

    widths = (32, 64, 160, 256)
    depths = (2, 2, 2, 2)


class SegFormerB1(SegFormer):
    """13.7 million parameters."""

    depths = (2, 2, 2, 2)


class SegFormerB2(SegFormer):
    """24.7 million parameters."""

    depths = (3, 4, 6, 3)


class SegFormerB3(SegFormer):
    """44.6 million parameters."""

    depths = (3, 4, 18, 3)


class SegFormerB4(SegFormer):
    """61.4 million parameters."""

    depths = (3, 8, 27, 3)


class SegFormerB5(SegFormer):
    """82.0 million parameters."""

    depths = (3, 6, 40, 3)
