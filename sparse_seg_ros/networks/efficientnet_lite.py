# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compact's decoder on the encoder of EfficientNet-Lite0, which can begin with ImageNet weights.

Inverted bottlenecks without squeeze-and-excitation, with ReLU6 (Tan and Le, arXiv 1905.11946, and
the release of its Lite variants). The last stride of 2 becomes a dilation, so that maps end at
stride 16; the last block, the ImageNet head and the classifier are left out. Images are padded
alike on both sides, where the release pads even ones by one pixel more at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from sparse_seg_ros.networks.compact import Compact, ConvNorm

STAGES = (  # expansion, kernel, channels, blocks, stride, dilation behind the first block
    (1, 3, 16, 1, 1, 1),
    (6, 3, 24, 2, 2, 1),
    (6, 5, 40, 2, 2, 1),
    (6, 3, 80, 3, 2, 1),
    (6, 5, 112, 3, 1, 1),
    (6, 5, 192, 4, 1, 2),
)
NORM = {'eps': 1e-3, 'momentum': 0.01}
RELEASED = {  # what the released files call the parts of the stem and of a block
    'stem.0.0': '_conv_stem', 'stem.0.1': '_bn0',
    'expand.0.0': '_expand_conv', 'expand.0.1': '_bn0',
    'depthwise.0.0': '_depthwise_conv', 'depthwise.0.1': '_bn1',
    'project.0': '_project_conv', 'project.1': '_bn2',
}
LEFT_OUT = ('_blocks.15.', '_conv_head.', '_bn1.', '_fc.')


def released_name(key: str) -> str:
    """'blocks.3.expand.0.1.bias' -> '_blocks.3._bn0.bias', as PyTorch ports of it are released."""
    for own, released in RELEASED.items():
        key = key.replace(f'{own}.', f'{released}.')
    return key.replace('blocks.', '_blocks.')


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a released file by name -> those of the encoder alone."""
    return {key: tensor for key, tensor in tensors.items() if not key.startswith(LEFT_OUT)}


class Bottleneck(nn.Module):
    """Inverted bottleneck: (B, a, H, W) -> (B, b, H/s, W/s), widened between."""

    def __init__(self, a: int, b: int, expansion: int, size: int, stride: int, dilation: int):
        super().__init__()
        wide = a * expansion
        self.expand = nn.Sequential() if expansion == 1 else nn.Sequential(
            ConvNorm(a, wide, 1, **NORM), nn.ReLU6())
        self.depthwise = nn.Sequential(
            ConvNorm(wide, wide, size, stride, dilation, groups=wide, **NORM), nn.ReLU6())
        self.project = ConvNorm(wide, b, 1, **NORM)
        self.adds = a == b and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class Encoder(nn.Module):
    """(B, 3, H, W) -> maps of 16, 24, 40 and 192 channels at strides 2, 4, 8 and 16; of STAGES."""

    released_name = staticmethod(released_name)  # of its tensors, for checkpoints.load and save
    network_tensors = staticmethod(network_tensors)  # of a file, for checkpoints.load

    def __init__(self, stages: Sequence[tuple[int, ...]] = STAGES):
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(3, 32, stride=2, **NORM), nn.ReLU6())
        blocks, a = [], 32
        for expansion, size, b, count, stride, dilation in stages:
            for place in range(count):
                blocks.append(Bottleneck(a, b, expansion, size, stride if place == 0 else 1,
                                         dilation if place else 1))
                a = b
        self.blocks = nn.Sequential(*blocks)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, maps = self.stem(image), []
        for start, end in pairwise((0, 1, 3, 5, len(self.blocks))):
            x = self.blocks[start:end](x)
            maps.append(x)
        return tuple(maps)


class EfficientNetLite0(Compact):
    """(B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 16."""

    mean, std = (127.5,) * 3, (127.5,) * 3
    widths = (16, 24, 40, 192)

    def add_encoder(self) -> None:
        self.backbone = Encoder()

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.backbone(image)
