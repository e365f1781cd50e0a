# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Exits of a vision transformer: heads that classify its tokens after some of its layers.

They learn together with the network, each by its own cross entropy. What leaves there is up to a
method, see methods/algm/early_exit.py; without one they cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from sparse_seg_ros.config import Settings, setting
from sparse_seg_ros.networks.vit.tokens import Tokens


@dataclass(frozen=True)
class ExitOptions(Settings):
    """Options of a plain vision transformer, by the names that `network_options` has."""

    first_exit: int = setting(0, 'layer, from 1, after which there is an exit; 0: none',
                              at_least=0)
    second_exit: int = setting(0, 'layer of another exit; 0: none', at_least=0)

    def layers(self, depth: int) -> list[int]:
        """Return the layers of the exits; ValueError unless a network of this depth has more."""
        layers = [layer for layer in (self.first_exit, self.second_exit) if layer]
        if max(layers, default=0) >= depth or layers != sorted(set(layers)):
            raise ValueError(f'exits must be after layers 1 <= first < second < {depth}, the '
                             f'blocks of this network, or 0 for none, got {self.first_exit} and '
                             f'{self.second_exit}; DToP has 6 and 8 of 12')
        return layers


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
