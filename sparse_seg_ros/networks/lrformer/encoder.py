# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The encoder: four stages of blocks at 1/4, 1/8, 1/16 and 1/32. LRFormer, section 3.2."""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.images import check_images
from sparse_seg_ros.networks.lrformer.attention import PYRAMID, LowResolutionAttention
from sparse_seg_ros.networks.lrformer.block import Block, ChannelNorm, depthwise
from sparse_seg_ros.networks.lrformer.options import PUBLISHED, LRFormerOptions
from sparse_seg_ros.networks.lrformer.released import backbone_name
from sparse_seg_ros.networks.lrformer.variants import Variant

HEADS = (2, 4, 10, 16)  # of the four stages, as below
EXPANSIONS = (8, 8, 4, 4)
HAS_LAYER_SCALE = (False, False, True, True)


class Encoder(nn.Module):
    """(B, 3, H, W) normalised -> [F1, F2, F3, F4], (B, C, H/s, W/s) for s = 4, 8, 16, 32."""

    released_name = staticmethod(backbone_name)  # of its tensors, for checkpoints.load and save

    def __init__(self, variant: Variant, query_side: int = 16,
                 options: LRFormerOptions = PUBLISHED):
        super().__init__()
        self.stages = nn.ModuleList(Stage(variant, number, query_side, options)
                                    for number in range(4))
        for number in variant.normed_blocks:
            self.stages[2].blocks[number].pre_norm = nn.BatchNorm2d(variant.widths[2])
        self.set_drop_path(variant.drop_path)

    def forward(self, images: Tensor) -> list[Tensor]:
        check_images(images)
        x, features = images, []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def set_drop_path(self, rate: float) -> None:
        """Let the last block leave out this share of the images, earlier ones less, evenly."""
        blocks = [block for stage in self.stages for block in stage.blocks]
        for number, block in enumerate(blocks):
            block.drop_path = rate * number / (len(blocks) - 1)


class Stage(nn.Module):
    """(B, a, H, W) -> (B, b, H/2, W/2); the first takes an image and divides by 4."""

    def __init__(self, variant: Variant, number: int, query_side: int, options: LRFormerOptions):
        super().__init__()
        width, heads = variant.widths[number], HEADS[number]
        self.embedding = (PatchEmbedding(variant.widths[number - 1], width) if number
                          else Stem(width))
        self.pyramid = nn.ModuleList(depthwise(width) for _ in PYRAMID)  # shared by the blocks
        self.blocks = nn.ModuleList(
            Block(LowResolutionAttention(width, heads, options.query_side or query_side,
                                         repeats=options.query_side is None),
                  width, EXPANSIONS[number], ChannelNorm, HAS_LAYER_SCALE[number],
                  options.depthwise)
            for _ in range(variant.depths[number]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x, self.pyramid)
        return x


class Stem(nn.Module):
    """(B, 3, H, W) -> (B, C, H/4, W/4)."""

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.conv1 = nn.Sequential(
            # (B, C/2, H/2, W/2)
            nn.Conv2d(3, half, 3, stride=2, padding=1), nn.BatchNorm2d(half), nn.GELU(),
            nn.Conv2d(half, half, 3, padding=1), nn.BatchNorm2d(half), nn.GELU(),
            # (B, C, H/4, W/4)
            nn.Conv2d(half, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1))
        self.norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv1(x))


class PatchEmbedding(nn.Module):
    """(B, a, H, W) -> (B, b, H/2, W/2), from patches that overlap."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.proj = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.norm = ChannelNorm(b)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))
