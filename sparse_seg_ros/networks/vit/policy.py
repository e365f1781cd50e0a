# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Policy network of CTS: it tells which 2 x 2 neighbouring patches show one class only.

Lu et al., "Content-aware Token Sharing for Efficient Semantic Segmentation with Vision
Transformers": EfficientNet-Lite0, whole, with one output for each superpatch of 32 x 32 pixels.
Different from there: it begins with random weights, not with those of ImageNet.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.compact import ConvNorm
from sparse_seg_ros.networks.efficientnet_lite import NORM, STAGES, Encoder

SIDE = 32  # pixels of a superpatch
WIDTH = 1280
STAGES_TO_STRIDE_32 = (*STAGES[:-1], (6, 5, 192, 4, 2, 1), (6, 3, 320, 1, 1, 1))


class PolicyNetwork(nn.Module):
    """(B, 3, H, W) -> (B, H / 32, W / 32) logits, rounded up: whether there is one class only."""

    def __init__(self):
        super().__init__()
        self.backbone = Encoder(STAGES_TO_STRIDE_32)
        self.widen = nn.Sequential(ConvNorm(STAGES_TO_STRIDE_32[-1][2], WIDTH, 1, **NORM),
                                   nn.ReLU6())
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.widen(self.backbone(images)[-1]))[:, 0]
