# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SETR on ViT-L/16, as MMSegmentation defines it, and on ViT-B/16: three decoders; files load.

Zheng et al., "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
Transformers". Patches do not look at the class token there, and layer norms add 1e-6. Different
from MMSegmentation: logits of the naive decoder are enlarged in one step, not in two.
"""

from __future__ import annotations

from sparse_seg_ros.networks.mmsegmentation import MEAN, STD
from sparse_seg_ros.networks.vit.encoder import like_mmsegmentation
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT


class Setr(SegmenterViT):
    """(B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 16."""

    mean, std = MEAN, STD
    dim, depth, heads = 1024, 24, 16
    decoder_name: str

    def __init__(self, num_classes: int, image_size: int = 768):
        super().__init__(image_size, 16, self.dim, self.depth, self.heads, num_classes,
                         self.decoder_name)
        like_mmsegmentation(self)


class SetrNaive(Setr):
    """SETR-Naive: 307 million parameters."""

    decoder_name = 'naive'


class SetrProgressive(Setr):
    """SETR-PUP: 311 million parameters."""

    decoder_name = 'pup'


class SetrAggregating(Setr):
    """SETR-MLA: 312 million parameters."""

    decoder_name = 'mla'


class SetrNaiveBase(SetrNaive):
    """SETR-Naive on ViT-B/16: 89 million parameters, 107 GMACs at 512 x 512 and 150 classes."""

    dim, depth, heads = 768, 12, 12


class SetrProgressiveBase(SetrProgressive):
    """SETR-PUP on ViT-B/16: 92 million parameters, 170 GMACs at 512 x 512 and 150 classes."""

    dim, depth, heads = 768, 12, 12


class SetrAggregatingBase(SetrAggregating):
    """SETR-MLA on ViT-B/16: 93 million parameters, 113 GMACs at 512 x 512 and 150 classes."""

    dim, depth, heads = 768, 12, 12
