# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
LRFormer's encoder as a classifier of pictures, as it is trained on ImageNet. Section 3.4.

Attention runs on grids with a short side of 7 there; its weights do not depend on that, so that
the encoder moves into a segmentation network as it is. The authors publish no code of the head:
1280 channels between two linear layers give the sizes in their table 6.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.lrformer import variants
from sparse_seg_ros.networks.lrformer.encoder import Encoder
from sparse_seg_ros.networks.lrformer.network import LRFormer
from sparse_seg_ros.networks.lrformer.released import released_name
from sparse_seg_ros.networks.lrformer.variants import Variant

QUERY_SIDE, HIDDEN = 7, 1280


class LRFormerClassifier(nn.Module):
    """(B, 3, H, W) normalised -> (B, C) logits of what each picture shows."""

    mean, std = LRFormer.mean, LRFormer.std
    variant: Variant
    released_name = staticmethod(released_name)

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = Encoder(self.variant, QUERY_SIDE)
        self.head = nn.Sequential(nn.Linear(self.variant.widths[3], HIDDEN), nn.GELU(),
                                  nn.Linear(HIDDEN, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images)[3].mean((2, 3)))


class LRFormerClassifierT(LRFormerClassifier):
    """13 million parameters."""

    variant = variants.T


class LRFormerClassifierS(LRFormerClassifier):
    """30 million parameters."""

    variant = variants.S


class LRFormerClassifierB(LRFormerClassifier):
    """62 million parameters."""

    variant = variants.B


class LRFormerClassifierL(LRFormerClassifier):
    """101 million parameters."""

    variant = variants.L


class LRFormerClassifierXL(LRFormerClassifier):
    """187 million parameters."""

    variant = variants.XL
