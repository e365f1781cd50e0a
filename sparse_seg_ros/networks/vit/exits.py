# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Exits of a vision transformer: heads that classify its tokens after some of its layers.

They learn together with the network, each by its own cross entropy. What leaves there is up to a
method, see methods/algm/early_exit.py; without one they cost nothing.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.vit.tokens import Tokens


class ExitHead(nn.Module):
    """(B, T, d) normalised -> (B, T, C): each token is classified by itself."""

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, values: Tensor) -> Tensor:
        return self.head(self.norm(values))

    def grade(self, tokens: Tokens) -> Tensor:
        """
        Tokens -> (B, C, rows, columns) logits.

        Where tokens stopped at an earlier exit, they are those of that exit.
        """
        return tokens.with_exits(tokens.to_grid(self(tokens.values[:, 1:])))
