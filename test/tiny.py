# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models small enough for tests, and frames to feed them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.checkpoints import Model, ModelCard, build_model
from sparse_seg_ros.data.street import CLASSES, street_frames
from sparse_seg_ros.networks.compact import ConvNorm
from sparse_seg_ros.networks.lrformer.network import LRFormer
from sparse_seg_ros.networks.lrformer.variants import Variant
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT


class TinyLRFormer(LRFormer):
    """LRFormer with every kind of layer, and few channels."""

    variant = Variant((4, 8, 20, 32), (1, 2, 2, 1), 16, drop_path=0.3, normed_blocks=(1,))


class TinySegmenter(SegmenterViT):
    """Segmenter with two blocks and few channels."""

    def __init__(self, num_classes: int):
        super().__init__(64, 16, 64, 2, 2, num_classes)


class TinyPooling(nn.Module):
    """A convolution and a context pooled onto a grid that does not divide the map."""

    stride, multiple = 2, 8
    mean = std = (127.5, 127.5, 127.5)

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.conv = ConvNorm(3, 8, stride=2)
        self.head = nn.Conv2d(8, num_classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv(images))  # (B, 8, H/2, W/2)
        context = F.adaptive_avg_pool2d(x, (3, 5))
        return self.head(x + F.interpolate(context, x.shape[2:], mode='bilinear'))


def tiny_model(refines: bool = True, seed: int = 0, **card) -> Model:
    """Return a compact network with random weights, with a refiner of two stages or without."""
    torch.manual_seed(seed)
    parts = {'planes': (4, 8), 'inputs': ('rgb', 'logits'), 'alpha_nats': 0.3} if refines else {}
    return build_model(ModelCard(**{
        'network': 'compact', 'classes': CLASSES, 'labels': 'camvid', 'mean': (105., 108., 110.),
        'std': (70., 73., 72.), 'scale': 0.5, **parts, **card}))


def street_image(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a street."""
    return next(street_frames(seed, 1, (height, width)))[0]
