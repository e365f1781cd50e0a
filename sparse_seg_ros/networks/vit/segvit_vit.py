# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SegViT on plain vision transformers, as in the authors' release, whose files load.

Zhang et al., "SegViT: Semantic Segmentation with Plain Vision Transformers". The release builds on
MMSegmentation: patches do not look at the class token, the encoder does not normalise its last
tokens, and positions are interpolated bicubically. Its decoder is in segvit.py.
"""

from __future__ import annotations

from sparse_seg_ros.networks.vit.encoder import like_mmsegmentation
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT


class SegViT(SegmenterViT):
    """(B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 16."""

    depth = 12
    seen_layers = (6, 8, 12)  # numbers of those that the decoder looks at
    dim: int
    heads: int

    def __init__(self, num_classes: int, image_size: int = 512):
        super().__init__(image_size, 16, self.dim, self.depth, self.heads, num_classes, 'atm')
        self.layers = list(self.seen_layers)
        self.encoder.interpolation = 'bicubic'
        like_mmsegmentation(self.encoder)


class SegViTSmall(SegViT):
    """SegViT with ViT-S/16; not in its paper."""

    dim, heads = 384, 6


class SegViTBase(SegViT):
    """SegViT with ViT-B/16: 115 GMACs at 512 x 512 and 150 classes."""

    dim, heads = 768, 12


class SegViTLarge(SegViT):
    """SegViT with ViT-L/16: 628 GMACs at 640 x 640 and 150 classes."""

    dim, depth, heads = 1024, 24, 16
    seen_layers = (8, 16, 24)

    def __init__(self, num_classes: int, image_size: int = 640):
        super().__init__(num_classes, image_size)
