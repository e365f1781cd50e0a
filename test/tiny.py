# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models small enough for tests, and frames to feed them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.data.street import CLASSES, street_frames
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading.checkpoints import build_model
from sparse_seg_ros.loading.zoo import find_model
from sparse_seg_ros.methods.algm import Merging
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks.compact import ConvNorm
from sparse_seg_ros.networks.hrnet.network import HRNetFCN
from sparse_seg_ros.networks.lrformer.classifier import LRFormerClassifier
from sparse_seg_ros.networks.lrformer.network import LRFormer
from sparse_seg_ros.networks.lrformer.variants import Variant
from sparse_seg_ros.networks.segformer.network import SegFormer
from sparse_seg_ros.networks.segnext import variants as segnext
from sparse_seg_ros.networks.segnext.network import SegNeXt
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.segmenter import Segmenter


class TinyLRFormer(LRFormer):
    """LRFormer with every kind of layer, and few channels."""

    variant = Variant((4, 8, 20, 32), (1, 2, 2, 1), 16, drop_path=0.3, normed_blocks=(1,))


class TinyHRNet(HRNetFCN):
    """HRNet with all its streams, and few channels."""

    widths = (4, 8, 16, 32)


class TinySegNeXt(SegNeXt):
    """SegNeXt with every kind of layer, and few channels."""

    variant = segnext.Variant((8, 16, 24, 32), (1, 2, 1, 1), 64, drop_path=0.3)


class TinyClassifier(LRFormerClassifier):
    """The encoder of TinyLRFormer as a classifier."""

    variant = TinyLRFormer.variant


class TinySegmenter(SegmenterViT):
    """Segmenter with two blocks and few channels."""

    def __init__(self, num_classes: int):
        super().__init__(64, 16, 64, 2, 2, num_classes)


class TinySegFormer(SegFormer):
    """SegFormer with one block a stage and few channels."""

    widths, depths = (8, 16, 40, 64), (1, 1, 1, 1)


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
    parts = {'planes': (4, 8), 'inputs': ('rgb', 'logits'), 'alpha': 0.3} if refines else {}
    return build_model(ModelCard(**{
        'network': 'compact', 'classes': CLASSES, 'labels': 'camvid', 'mean': (105., 108., 110.),
        'std': (70., 73., 72.), 'scale': 0.5, **parts, **card}))


def tiny_refined_by_network(scale: float = 0.5, **card) -> Model:
    """Return a network with random weights, and a refiner that begins as its layers."""
    model = tiny_model(network='mobilenet_edgetpu', mean=(128.,) * 3, std=(128.,) * 3, scale=scale,
                       planes=(16, 24, 40, 128), inputs=('rgb',), extractor='network', **card)
    model.refiner.extractor.begin_as(model.network)
    return model


def randomise(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Return the network with every weight and statistic drawn at random, none negligible."""
    generator = torch.Generator().manual_seed(seed)
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
            tensor.mul_(0.5 if tensor.ndim < 2 else max(1, tensor[0].numel()) ** -0.5)
        if key.endswith('running_var'):
            tensor.abs_().add_(0.5)
    return network


def tiny_algm(**settings) -> Algm:
    """Return a Segmenter of two blocks that merges some of its tokens in each."""
    torch.manual_seed(0)
    merging = Merging((1, 2), rule='share', shares=(0.4, 0.3))
    return Algm(TinySegmenter(len(CLASSES)).eval(), merging, **settings)


def tiny_merging_segmenter(**settings) -> Segmenter:
    """Return the same, for images."""
    half = (127.5, 127.5, 127.5)
    return Segmenter(tiny_algm(**settings), load_labels('camvid'), half, half)


def street_image(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a street."""
    return next(street_frames(seed, 1, (height, width)))[0]


def demo_and_street(size_hw: tuple[int, int] = (192, 384)) -> tuple:
    """Return the model that ships, (1, 3, H, W) normalised image of a street, (H, W) its ids."""
    model, _, _ = find_model('demo')
    image, label = next(street_frames(5, 1, size_hw))[:2]
    pixels = torch.from_numpy(image).float()
    images = (pixels - torch.tensor(model.card.mean)) / torch.tensor(model.card.std)
    return model, images.movedim(-1, 0)[None], label
