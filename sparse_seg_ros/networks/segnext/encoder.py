# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The encoder, MSCAN: four stages of blocks at 1/4, 1/8, 1/16 and 1/32. SegNeXt, section 3.1."""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.drop_path import growing_shares
from sparse_seg_ros.networks.images import check_images
from sparse_seg_ros.networks.lrformer.block import ChannelNorm
from sparse_seg_ros.networks.segnext.block import Block
from sparse_seg_ros.networks.segnext.variants import Variant

EXPANSIONS = (8, 8, 4, 4)  # of the four stages


class Encoder(nn.Module):
    """(B, 3, H, W) normalised -> [F1, F2, F3, F4], (B, C, H/s, W/s) for s = 4, 8, 16, 32."""

    def __init__(self, variant: Variant):
        super().__init__()
        self.stages = nn.ModuleList(Stage(variant, number) for number in range(4))

    def forward(self, images: Tensor) -> list[Tensor]:
        check_images(images)
        x, features = images, []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Stage(nn.Module):
    """(B, a, H, W) -> (B, b, H/2, W/2); the first takes an image and divides by 4."""

    def __init__(self, variant: Variant, number: int):
        super().__init__()
        width = variant.widths[number]
        self.embedding = (PatchEmbedding(variant.widths[number - 1], width) if number
                          else Stem(width))
        self.blocks = nn.Sequential(*(
            Block(width, EXPANSIONS[number], share)
            for share in growing_shares(variant.depths, number, variant.drop_path)))
        self.norm = ChannelNorm(width, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.embedding(x)))


class Stem(nn.Module):
    """(B, 3, H, W) -> (B, C, H/4, W/4)."""

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.proj = nn.Sequential(
            # (B, C/2, H/2, W/2)
            nn.Conv2d(3, half, 3, stride=2, padding=1), nn.BatchNorm2d(half), nn.GELU(),
            # (B, C, H/4, W/4)
            nn.Conv2d(half, width, 3, stride=2, padding=1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class PatchEmbedding(nn.Module):
    """(B, a, H, W) -> (B, b, H/2, W/2), from patches that overlap."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.proj = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))
