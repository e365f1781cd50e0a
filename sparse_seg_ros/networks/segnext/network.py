# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SegNeXt: encoder and decoder, in four sizes, as MMSegmentation defines them.

"SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation", Guo et al.,
section 3. It reads MMSegmentation's files with `checkpoints.load`; what it does differently is
said in `factorisation`. Fresh weights are drawn as torch does.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.mmsegmentation import MEAN, STD
from sparse_seg_ros.networks.segnext import variants
from sparse_seg_ros.networks.segnext.decoder import Decoder
from sparse_seg_ros.networks.segnext.encoder import Encoder
from sparse_seg_ros.networks.segnext.released import network_tensors, released_name
from sparse_seg_ros.networks.segnext.variants import Variant


class SegNeXt(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H/8, W/8) logits; H and W must be multiples of 32."""

    stride, multiple = 8, 32
    classifier = 'decode_head.conv_seg'
    mean, std = MEAN, STD
    variant: Variant
    released_name = staticmethod(released_name)  # of its tensors, for checkpoints.load and save
    network_tensors = staticmethod(network_tensors)  # of a file, for checkpoints.load

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = Encoder(self.variant)
        self.decode_head = Decoder(self.variant.widths, self.variant.decoder_width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode_head(self.backbone(images))


class SegNeXtT(SegNeXt):
    """4.3 million parameters."""

    variant = variants.T


class SegNeXtS(SegNeXt):
    """14 million parameters."""

    variant = variants.S


class SegNeXtB(SegNeXt):
    """28 million parameters."""

    variant = variants.B


class SegNeXtL(SegNeXt):
    """49 million parameters; 204 GMACs at 640 x 1280."""

    variant = variants.L
