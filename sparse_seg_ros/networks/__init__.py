# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense networks: (B, 3, H, W) normalised images -> (B, C, H, W) logits."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.config import nearest
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.vit.segmenter_vit import (
    SegmenterBase,
    SegmenterLarge,
    SegmenterSmall,
    SegmenterTiny,
)

NETWORKS = {'compact': Compact, 'segmenter_t': SegmenterTiny, 'segmenter_s': SegmenterSmall,
            'segmenter_b': SegmenterBase, 'segmenter_l': SegmenterLarge}


def build_network(name: str, num_classes: int) -> nn.Module:
    """Name in NETWORKS -> a network with random weights; it declares multiple, mean and std."""
    if name not in NETWORKS:
        raise ValueError(f'unknown network {name!r}; {nearest(name, NETWORKS)}')
    return NETWORKS[name](num_classes)


def run_padded(network: nn.Module, images: Tensor) -> Tensor:
    """(B, 3, h, w) of any size -> (B, C, h, w) logits: padded to the multiple, cropped again."""
    height, width = images.shape[-2:]
    down, right = -height % network.multiple, -width % network.multiple
    if down or right:
        images = F.pad(images, (0, right, 0, down), mode='replicate')
    return network(images)[..., :height, :width]
