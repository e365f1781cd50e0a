# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decoder of SegViT: Tokens -> logits; the attention of a class is its mask.

Zhang et al., "SegViT: Semantic Segmentation with Plain Vision Transformers", section 3.2; what the
paper leaves open is as in the authors' release, whose files load. Class tokens go through three
stages, each looking at the tokens of one layer of the encoder, the last layer first. A stage works
at half the encoder's width and has three transformer decoder layers; the similarities of the last
one are its masks, and the masks of the three stages are summed.
Different from the release: masks and classes are multiplied on the grid of patches, not at the
image's size, which saves a third or more of the decoder's cost; and the outputs are logarithms of
the scores, so that softmax and entropy mean what they mean elsewhere. The shrunk networks and
SegViT v2 are not here.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.vit.block import Attention, Perceptron
from sparse_seg_ros.networks.vit.decoders import DROPOUT, HEAD_WIDTH, check_dim
from sparse_seg_ros.networks.vit.tokens import Tokens

LEAST_SCORE = 1e-10
DEPTH = 3  # layers of a stage


class AttentionToMask(nn.Module):
    """Class tokens look at an image's tokens and tell how similar they found them."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.among_classes = Attention(dim, heads, DROPOUT)
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.mlp = Perceptron(dim, DROPOUT, F.relu)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, classes: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, d) and (B, N, d) -> classes (B, C, d), their similarities (B, C, N)."""
        classes = self.norm1(classes + self.among_classes(classes))
        query, key, value = (
            made.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, ., d / heads)
            for made in (self.query(classes), self.key(tokens), self.value(tokens)))
        similarity = query @ key.mT * query.shape[3] ** -0.5  # (B, heads, C, N)
        seen = self.dropout(similarity.softmax(3)) @ value
        seen = self.proj(seen.transpose(1, 2).flatten(2))
        classes = self.norm2(classes + self.dropout(seen))
        return self.norm3(classes + self.mlp(classes)), similarity.mean(1)


class Stage(nn.Module):
    """Class tokens look at the tokens of one layer of the encoder, three times."""

    def __init__(self, encoder_dim: int, dim: int, heads: int):
        super().__init__()
        self.proj, self.norm = nn.Linear(encoder_dim, dim), nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(AttentionToMask(dim, heads) for _ in range(DEPTH))

    def forward(self, classes: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, d) and (B, N, 2 d) -> classes (B, C, d), their similarities (B, C, N)."""
        tokens = self.norm(self.proj(tokens))
        for block in self.blocks:
            classes, similarity = block(classes, tokens)
        return classes, similarity


class AttentionToMaskDecoder(nn.Module):
    """Each class token has a mask and says which class it shows, or none: scores are products."""

    parts = (Fraction(1, 2), Fraction(2, 3), Fraction(1))  # layers 6, 8 and 12 of ViT-B
    normalises = True  # the tokens itself, in place of the encoder

    def __init__(self, dim: int, num_classes: int):
        check_dim(dim, 'atm')
        super().__init__()
        self.classes = nn.Parameter(torch.randn(num_classes, dim // 2))
        self.stages = nn.ModuleList(Stage(dim, dim // 2, dim // HEAD_WIDTH) for _ in self.parts)
        self.head = nn.Linear(dim // 2, num_classes + 1)  # the last: not in this image

    def forward(self, *streams: Tokens) -> Tensor:
        classes = self.classes.expand(len(streams[0].values), -1, -1)
        masks = []
        for stage, tokens in zip(self.stages, reversed(streams)):
            classes, similarity = stage(classes, tokens.values[:, 1:])
            masks.append(tokens.to_grid(similarity.mT))  # (B, C, rows, columns)
        shown = self.head(classes).softmax(2)[..., :-1]  # (B, C, C): class token, class
        scores = torch.einsum('btc,bthw->bchw', shown, sum(masks).sigmoid())
        precision = torch.promote_types(scores.dtype, torch.float32)
        return scores.to(precision).clamp_min(LEAST_SCORE).log()
