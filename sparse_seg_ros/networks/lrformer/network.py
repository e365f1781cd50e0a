# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
LRFormer: encoder and decoder, in five sizes.

"Low-Resolution Self-Attention for Semantic Segmentation", Wu et al., section 3. It reads
the release's weights and computes what the release does; fresh weights are drawn as torch does.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from sparse_seg_ros.networks.lrformer import variants
from sparse_seg_ros.networks.lrformer.decoder import Decoder
from sparse_seg_ros.networks.lrformer.encoder import Encoder
from sparse_seg_ros.networks.lrformer.folded import fold_decoder, fold_encoder
from sparse_seg_ros.networks.lrformer.options import PUBLISHED, LRFormerOptions
from sparse_seg_ros.networks.lrformer.released import released_name
from sparse_seg_ros.networks.lrformer.rival_heads import RIVAL_HEADS
from sparse_seg_ros.networks.lrformer.variants import Variant


class LRFormer(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H/8, W/8) logits; H and W must be multiples of 32."""

    stride, multiple = 8, 32
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet, RGB in 0..255
    classifier = 'decode_head.conv_seg'
    variant: Variant
    released_name = staticmethod(released_name)  # of its tensors, for checkpoints.load and save

    options_kind = LRFormerOptions

    def __init__(self, num_classes: int, options: LRFormerOptions = PUBLISHED):
        super().__init__()
        self.num_classes, self.options = num_classes, options
        self.backbone = Encoder(self.variant, options=options)
        self.decode_head = self.make_head(options)

    def make_head(self, options: LRFormerOptions) -> nn.Module:
        """Build the decoder."""
        if options.head != 'own':
            return RIVAL_HEADS[options.head](self.variant.widths, self.num_classes)
        width = options.decoder_width or self.variant.decoder_width
        return Decoder(self.variant.widths, width, self.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode_head(self.backbone(images))

    def for_inference(self) -> LRFormer:
        """Return a copy that computes the same in fewer steps; it can not learn or be saved."""
        network = copy.deepcopy(self).eval().requires_grad_(False)
        if self.options.has_published_encoder:
            fold_encoder(network.backbone)
        if self.options.head == PUBLISHED.head:
            fold_decoder(network.decode_head)
        return network


class LRFormerT(LRFormer):
    """13 million parameters."""

    variant = variants.T


class LRFormerS(LRFormer):
    """32 million parameters."""

    variant = variants.S


class LRFormerB(LRFormer):
    """67 million parameters."""

    variant = variants.B


class LRFormerL(LRFormer):
    """111 million parameters."""

    variant = variants.L


class LRFormerXL(LRFormer):
    """202 million parameters."""

    variant = variants.XL
