# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Transformer block: attention, then a two-layer perceptron, each normalised before and added.

Dosovitskiy et al., "An Image is Worth 16x16 Words", section 3.1, with the names of timm.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.drop_path import drop_path


class Attention(nn.Module):
    """Every token looks at all: (B, T, d) -> (B, T, d)."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.sees_first = True  # whether tokens look at the first one
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x)[0]

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, d) -> what each token saw, and queries and keys (2, B, heads, T, d / heads)."""
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1))  # (B, T, 3, heads, d / heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)
        query, key, value = qkv  # (B, heads, T, d / heads) each
        dropout = self.dropout if self.training else 0.0
        first = 0 if self.sees_first else 1
        seen = F.scaled_dot_product_attention(query, key[:, :, first:], value[:, :, first:],
                                              dropout_p=dropout)
        return F.dropout(self.proj(seen.transpose(1, 2).flatten(2)), dropout), qkv[:2]


class Perceptron(nn.Module):
    """Every token by itself, through a layer four times as wide: (B, T, d) -> (B, T, d)."""

    def __init__(self, dim: int, dropout: float,
                 activation: Callable[[Tensor], Tensor] = F.gelu):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.dropout, self.activation = nn.Dropout(dropout), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.dropout(self.activation(self.fc1(x)))))


class Block(nn.Module):
    """(B, T, d) -> (B, T, d), in two halves, between which an encoder may merge tokens."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, dropout)
        self.mlp = Perceptron(dim, dropout)
        self.drop_share = 0.0  # of the images whose change is left out, in training

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the first half, attention -> tokens, and their queries and keys."""
        seen, queries_keys = self.attn.look(self.norm1(x))
        return x + self.drop(seen), queries_keys

    def digest(self, x: Tensor) -> Tensor:
        """Take the second half: each token works on what it got."""
        return x + self.drop(self.mlp(self.norm2(x)))

    def drop(self, change: Tensor) -> Tensor:
        """(B, T, d) -> the same, in training 0 for a share of the images."""
        return drop_path(change, self.drop_share) if self.training and self.drop_share else change

    def forward(self, x: Tensor) -> Tensor:
        return self.digest(self.attend(x)[0])
