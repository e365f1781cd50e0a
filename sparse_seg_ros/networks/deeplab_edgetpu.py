# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
DeepLab on MobileNet-EdgeTPU-slim as Google Coral released it: the encoder, and one classifier.

Its logits have stride 16, and their corners lie on the corner pixels of an image whose sides are
16 k + 1. The release has such images only (513x513); here the border of any other is repeated up
to the next such size, and what it adds is cut off. The release computes in 8 bits, this does not.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.mobilenet_edgetpu import Encoder

CLASSIFIER = 209  # number of its output in the released graph


class DeepLabEdgeTPU(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H, W) logits, for every H and W."""

    stride, multiple, feature_stride = 1, 1, 16
    mean, std = (128.0,) * 3, (128.0,) * 3
    classifier = 'head'

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = Encoder()
        self.head = nn.Conv2d(128, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        down, right = -(height - 1) % self.feature_stride, -(width - 1) % self.feature_stride
        if down or right:
            images = F.pad(images, (0, right, 0, down), mode='replicate')
        logits = self.head(self.backbone(images)[-1])  # (B, C, ceil((H - 1) / 16) + 1, ...)
        logits = F.interpolate(logits, images.shape[-2:], mode='bilinear', align_corners=True)
        return logits[..., :height, :width]

    @staticmethod
    def released_name(key: str) -> str:
        """'head.bias' -> '209.bias': the number of the step in the released graph."""
        part, _, rest = key.partition('.')
        return Encoder.released_name(rest) if part == 'backbone' else f'{CLASSIFIER}.{rest}'
