# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Plain vision transformer: an image cut into patches, each a token, through equal blocks.

Dosovitskiy et al., "An Image is Worth 16x16 Words", section 3.1; names of tensors as in timm and
Segmenter. Grids of any shape: the positional embedding is interpolated, bilinearly as Segmenter
does unless a network says otherwise. The 1000-way head of the pre-training is kept, unused, as in
the published checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.drop_path import growing_shares
from sparse_seg_ros.networks.vit.block import Attention, Block
from sparse_seg_ros.networks.vit.tokens import Tokens

PRETRAINING_CLASSES = 1000
Merge = Callable[[Tokens, Tensor], Tokens]
Exit = Callable[[Tokens], Tokens]
Embedding = Callable[['VisionTransformer', Tensor], Tokens]


class PatchEmbedding(nn.Module):
    """(B, 3, H, W) -> (B, d, H / patch, W / patch)."""

    def __init__(self, patch_size: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images)


class VisionTransformer(nn.Module):
    """
    (B, 3, H, W) normalised -> Tokens.

    merges: layer, from 1, -> function that merges tokens between its attention and its
    perceptron. It takes the tokens, and the queries and keys of that attention, (2, B, heads, T,
    d / heads). exits: layer -> function after it that lets tokens stop. embedding: what makes the
    tokens of images in place of `embed`. restores: every patch has a token again when the decoder
    gets them.
    """

    def __init__(self, image_size: int, patch_size: int, dim: int, depth: int, heads: int):
        super().__init__()
        self.patch_size = patch_size
        self.grid_hw = (image_size // patch_size,) * 2  # of pos_embed
        self.patch_embed = PatchEmbedding(patch_size, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid_hw[0] ** 2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, PRETRAINING_CLASSES)
        self.merges: dict[int, Merge] = {}
        self.exits: dict[int, Exit] = {}
        self.embedding: Embedding | None = None
        self.restores = False
        self.interpolation = 'bilinear'  # of positions
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: Tensor, layers: Collection[int]
                ) -> tuple[list[Tokens], list[int]]:
        """
        (B, 3, H, W) -> Tokens, and how many of them entered each block's perceptron.

        layers: numbers, from 1, of the layers whose tokens are returned.
        """
        tokens = self.embedding(self, images) if self.embedding else self.embed(images)
        seen, counts = [], []
        for layer, block in enumerate(self.blocks, start=1):
            values, queries_keys = block.attend(tokens.values)
            tokens = replace(tokens, values=values)
            if layer in self.merges:
                tokens = self.merges[layer](tokens, queries_keys)
            counts.append(tokens.values.shape[1])
            tokens = tokens.map(block.digest)
            if layer in layers:
                seen.append((tokens.restored() if self.restores else tokens).map(self.norm))
            if layer in self.exits:
                tokens = self.exits[layer](tokens)
        return seen, counts

    @property
    def looks_at_image(self) -> bool:
        """Whether what it computes is chosen by what an image shows."""
        return bool(self.merges or self.exits or self.embedding)

    def set_drop_path(self, share: float) -> None:
        """Let the last block leave out a share of the images in training, those before fewer."""
        for block, own in zip(self.blocks, growing_shares((len(self.blocks),), 0, share)):
            block.drop_share = own

    def fit_positions(self, positions: Tensor) -> None:
        """(1, 1 + N, d) positions of a file -> as many of its own, where N is a square."""
        side = math.isqrt(positions.shape[1] - 1) if positions.ndim == 3 else 0
        if side > 0 and positions.shape[1] == 1 + side ** 2:
            self.grid_hw = (side, side)
            self.pos_embed = nn.Parameter(
                self.pos_embed.new_zeros(1, 1 + side ** 2, self.pos_embed.shape[2]))

    def embed(self, images: Tensor) -> Tokens:
        """(B, 3, H, W) -> one token per patch after the class token, each knowing its place."""
        height, width = images.shape[2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f'height and width must be multiples of {self.patch_size}, got '
                             f'{height} x {width}; pad the image')
        patches = self.patch_embed(images)  # (B, d, h, w)
        grid_hw = tuple(patches.shape[2:])
        first = self.cls_token.expand(len(images), -1, -1)
        values = torch.cat((first, patches.flatten(2).mT), 1)  # (B, 1 + N, d)
        return Tokens(values + self.positions(grid_hw), grid_hw)

    def positions(self, grid_hw: tuple[int, int]) -> Tensor:
        """Return the positional embedding for any grid, (1, 1 + N, d)."""
        if grid_hw == self.grid_hw:
            return self.pos_embed
        return interpolated(self.pos_embed, self.grid_hw, grid_hw, self.interpolation)

    def resized(self, positions: Tensor) -> Tensor:
        """(1, 1 + n, d) positions of a file, of a square of n patches -> (1, 1 + N, d) of here."""
        side = math.isqrt(max(0, positions.shape[1] - 1))
        return interpolated(positions, (side, side), self.grid_hw, self.interpolation)


def interpolated(positions: Tensor, from_hw: tuple[int, int], to_hw: tuple[int, int],
                 mode: str) -> Tensor:
    """(1, 1 + n, d) positions of one grid -> (1, 1 + N, d) of another."""
    first, patches = positions[:, :1], positions[:, 1:]
    patches = F.interpolate(patches.mT.unflatten(2, from_hw), size=to_hw,
                            mode=mode, align_corners=False)  # (1, d, h, w)
    return torch.cat((first, patches.flatten(2).mT), 1)


def like_mmsegmentation(module: nn.Module) -> None:
    """Let a vision transformer compute as MMSegmentation has it, in place."""
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = 1e-6
        elif isinstance(part, Attention):
            part.sees_first = False
