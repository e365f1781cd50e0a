# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Dense networks: (B, 3, H, W) normalised images -> (B, C, H / stride, W / stride) logits.

A network declares `stride`, the `multiple` that H and W must be of, and the `mean` and `std` that
its images are normalised with, of RGB in 0..255.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.config import nearest
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.images import check_images
from sparse_seg_ros.networks.lrformer.network import (
    LRFormerB,
    LRFormerL,
    LRFormerS,
    LRFormerT,
    LRFormerXL,
)
from sparse_seg_ros.networks.vit.segmenter_vit import (
    SegmenterBase,
    SegmenterLarge,
    SegmenterSmall,
    SegmenterTiny,
)

NETWORKS = {
    'compact': Compact,
    'lrformer_t': LRFormerT,
    'lrformer_s': LRFormerS,
    'lrformer_b': LRFormerB,
    'lrformer_l': LRFormerL,
    'lrformer_xl': LRFormerXL,
    'segmenter_t': SegmenterTiny,
    'segmenter_s': SegmenterSmall,
    'segmenter_b': SegmenterBase,
    'segmenter_l': SegmenterLarge,
}


def build_network(name: str, num_classes: int) -> nn.Module:
    """Name in NETWORKS -> a network with random weights."""
    if name not in NETWORKS:
        raise ValueError(f'unknown network {name!r}; {nearest(name, NETWORKS)}')
    if num_classes < 2:
        raise ValueError(f'num_classes must be at least 2, got {num_classes}; '
                         'the background counts as one')
    return NETWORKS[name](num_classes)


def run_padded(network: nn.Module, images: Tensor) -> Tensor:
    """(B, 3, h, w) of any size -> (B, C, h, w): padded to the multiple, enlarged and cropped."""
    check_images(images)
    height, width = images.shape[-2:]
    padded_height, padded_width = padded_size(network, (height, width))
    down, right = padded_height - height, padded_width - width
    if down or right:
        images = F.pad(images, (0, right, 0, down), mode='replicate')
    logits = network(images)
    if network.stride > 1:
        logits = F.interpolate(logits, size=images.shape[-2:], mode='bilinear',
                               align_corners=False)
    return logits[..., :height, :width]


def padded_size(network: nn.Module, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Size of an image -> the next that is of the network's multiple."""
    height, width = (side + -side % network.multiple for side in size_hw)
    return height, width
