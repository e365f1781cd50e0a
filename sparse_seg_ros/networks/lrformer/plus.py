# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
LRFormer+: LRFormer's encoder with Mask2Former's decoder, in five sizes. LRFormer, section 4.5.

Needs `transformers` when it is built. Only the encoder has names as in the authors' files:
`checkpoints.load(network.backbone, path)` reads a published backbone.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from sparse_seg_ros.networks.lrformer import variants
from sparse_seg_ros.networks.lrformer.encoder import Encoder
from sparse_seg_ros.networks.lrformer.folded import fold_encoder
from sparse_seg_ros.networks.lrformer.network import LRFormer
from sparse_seg_ros.networks.lrformer.variants import Variant
from sparse_seg_ros.networks.mask_scores import Queries, semantic_logits
from sparse_seg_ros.networks.with_transformers import mask_loss


class LRFormerPlus(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 32."""

    stride, multiple = 1, 32
    mean, std = LRFormer.mean, LRFormer.std
    variant: Variant

    def __init__(self, num_classes: int):
        super().__init__()
        from sparse_seg_ros.networks.lrformer.query_decoder import QueryDecoder
        self.num_classes = num_classes
        self.backbone = Encoder(self.variant)
        self.decode_head = QueryDecoder(self.variant.widths, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return semantic_logits(*self.queries(images)[-1], images.shape[-2:])

    def queries(self, images: Tensor) -> list[Queries]:
        """(B, 3, H, W) -> Queries of every layer of the decoder, the last one last."""
        return self.decode_head(self.backbone(images))

    def mask_loss(self, class_weights: Tensor) -> nn.Module:
        """(C,) -> the loss that the network learns masks with."""
        return mask_loss(self.decode_head.config, class_weights)

    def for_inference(self) -> LRFormerPlus:
        """Return a copy whose encoder computes the same in fewer steps."""
        network = copy.deepcopy(self).eval().requires_grad_(False)
        fold_encoder(network.backbone)
        return network


class LRFormerPlusT(LRFormerPlus):
    """31 million parameters."""

    variant = variants.T


class LRFormerPlusS(LRFormerPlus):
    """48 million parameters."""

    variant = variants.S


class LRFormerPlusB(LRFormerPlus):
    """80 million parameters."""

    variant = variants.B


class LRFormerPlusL(LRFormerPlus):
    """119 million parameters."""

    variant = variants.L


class LRFormerPlusXL(LRFormerPlus):
    """205 million parameters."""

    variant = variants.XL
