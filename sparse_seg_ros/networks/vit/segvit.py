# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decoder of SegViT: Tokens -> logits; the attention of a class is its mask.

Zhang et al., "SegViT: Semantic Segmentation with Plain Vision Transformers", section 3.2, written
from the paper alone. Class tokens go through three transformer decoder layers, each looking at
the tokens of one layer of the encoder, the last layer first; their similarities to the tokens,
summed over the three, are the masks. Left open by the paper and chosen here: similarities are
averaged over heads, and layers are normalised after adding, as in the first transformers.
Different from the paper: masks and classes are multiplied on the grid of patches, not at the
image's size, which saves a third or more of the decoder's cost; and the outputs are logarithms of
the scores, so that softmax and entropy mean what they mean elsewhere.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn

from sparse_seg_ros.networks.vit.block import Attention, Perceptron
from sparse_seg_ros.networks.vit.decoders import HEAD_WIDTH, check_dim
from sparse_seg_ros.networks.vit.tokens import Tokens

LEAST_SCORE = 1e-10


class AttentionToMask(nn.Module):
    """Class tokens look at an image's tokens and tell how similar they found them."""

    def __init__(self, dim: int):
        super().__init__()
        self.heads = dim // HEAD_WIDTH
        self.among_classes = Attention(dim, self.heads, dropout=0.0)
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.mlp = Perceptron(dim, dropout=0.0)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, classes: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, d) and (B, N, d) -> classes (B, C, d), their similarities (B, C, N)."""
        classes = self.norm1(classes + self.among_classes(classes))
        query, key, value = (
            made.unflatten(2, (self.heads, HEAD_WIDTH)).transpose(1, 2)  # (B, heads, ., 64)
            for made in (self.query(classes), self.key(tokens), self.value(tokens)))
        similarity = query @ key.mT * HEAD_WIDTH ** -0.5  # (B, heads, C, N)
        seen = (similarity.softmax(3) @ value).transpose(1, 2).flatten(2)
        classes = self.norm2(classes + self.proj(seen))
        return self.norm3(classes + self.mlp(classes)), similarity.mean(1)


class AttentionToMaskDecoder(nn.Module):
    """Each class token has a mask and says which class it shows, or none: scores are products."""

    parts = (Fraction(1, 2), Fraction(2, 3), Fraction(1))  # layers 6, 8 and 12 of ViT-B

    def __init__(self, dim: int, num_classes: int):
        check_dim(dim, 'atm')
        super().__init__()
        self.classes = nn.Parameter(torch.empty(1, num_classes, dim))
        self.steps = nn.ModuleList(AttentionToMask(dim) for _ in self.parts)
        self.head = nn.Linear(dim, num_classes + 1)  # the last: not in this image
        nn.init.trunc_normal_(self.classes, std=0.02)

    def forward(self, *streams: Tokens) -> Tensor:
        classes = self.classes.expand(len(streams[0].values), -1, -1)
        masks = []
        for step, tokens in zip(self.steps, reversed(streams)):
            classes, similarity = step(classes, tokens.values[:, 1:])
            masks.append(tokens.to_grid(similarity.mT))  # (B, C, rows, columns)
        shown = self.head(classes).softmax(2)[..., :-1]  # (B, C, C): class token, class
        scores = torch.einsum('btc,bthw->bchw', shown, sum(masks).sigmoid())
        precision = torch.promote_types(scores.dtype, torch.float32)
        return scores.to(precision).clamp_min(LEAST_SCORE).log()
