# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decoders of Segmenter: Tokens -> (B, C, rows, columns) logits, one per patch.

Strudel et al., "Segmenter", section 3.2; names of tensors as released. Merged tokens are decoded
once, and their logits given to all patches they stand for.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.vit.block import Block
from sparse_seg_ros.networks.vit.tokens import Tokens

HEAD_WIDTH = 64
DEPTH = 2
DROPOUT = 0.1


class LinearDecoder(nn.Module):
    """Each token is classified by itself."""

    parts = (Fraction(1),)  # of the depth, after which it takes tokens from the encoder

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.head = nn.Linear(dim, num_classes)

    def forward(self, tokens: Tokens) -> Tensor:
        return tokens.to_grid(self.head(tokens.values[:, 1:]))


class MaskTransformer(nn.Module):
    """Class embeddings join the tokens for two blocks; logits are their cosines, normalised."""

    parts = (Fraction(1),)

    def __init__(self, dim: int, num_classes: int):
        check_dim(dim, 'mask')
        super().__init__()
        self.num_classes = num_classes
        self.proj_dec = nn.Linear(dim, dim)
        self.cls_emb = nn.Parameter(torch.empty(1, num_classes, dim))
        self.blocks = nn.ModuleList(
            Block(dim, dim // HEAD_WIDTH, DROPOUT) for _ in range(DEPTH))
        self.decoder_norm = nn.LayerNorm(dim)
        self.proj_patch = nn.Parameter(dim ** -0.5 * torch.randn(dim, dim))
        self.proj_classes = nn.Parameter(dim ** -0.5 * torch.randn(dim, dim))
        self.mask_norm = nn.LayerNorm(num_classes)
        nn.init.trunc_normal_(self.cls_emb, std=0.02)

    def forward(self, tokens: Tokens) -> Tensor:
        patches = self.proj_dec(tokens.values[:, 1:])
        x = torch.cat((patches, self.cls_emb.expand(len(patches), -1, -1)), 1)  # (B, T-1+C, d)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_norm(x)
        patches, classes = x[:, :-self.num_classes], x[:, -self.num_classes:]
        patches = F.normalize(patches @ self.proj_patch, dim=-1)
        classes = F.normalize(classes @ self.proj_classes, dim=-1)
        return tokens.to_grid(self.mask_norm(patches @ classes.mT))  # from (B, T - 1, C)


def check_dim(dim: int, decoder: str) -> None:
    """Raise ValueError unless whole attention heads fit into the width of the tokens."""
    if dim % HEAD_WIDTH:
        raise ValueError(f'dim must be a multiple of {HEAD_WIDTH} for decoder {decoder!r}, got '
                         f"{dim}; take decoder 'linear' or another dim")
