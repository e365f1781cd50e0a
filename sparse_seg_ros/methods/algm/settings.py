# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How tokens merge: the paper's settings, its ablations (Tables 5a to 5c), and its rival."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparse_seg_ros.config import nearest
from sparse_seg_ros.texts import cut

RULES = ('adaptive', 'fixed', 'share', 'every')
BATCH_RULES = ('single', 'shared')


@dataclass(frozen=True)
class Merging:
    """
    Where and how much tokens merge.

    layers: of local and of global merging, from 1, 0 for none; the paper takes (1, 7) for ViT-L.
    threshold: cosine similarity from which a window merges; with rule 'fixed' pairs as well.
    rule: 'adaptive' merges pairs above a threshold taken from each image, as released; 'share'
    the most similar `shares` of windows and pairs; 'every' leaves layers and windows aside and
    merges tokens_per_layer tokens in every layer, as ToMe does.
    window: rows and columns of patches. batch_rule: 'shared' trains as the paper does: all images
    of a batch keep as many tokens as the one that keeps most.
    """

    layers: tuple[int, int] = (1, 5)
    threshold: float = 0.88
    rule: str = 'adaptive'
    window: tuple[int, int] = (2, 2)
    shares: tuple[float, float] = (0.5, 0.44)
    tokens_per_layer: int = 44
    batch_rule: str = 'single'

    def __post_init__(self):
        check_choice('rule', self.rule, RULES)
        check_choice('batch_rule', self.batch_rule, BATCH_RULES)
        if not -1 <= self.threshold <= 1:
            raise ValueError('threshold must be a cosine similarity in [-1, 1], got '
                             f'{self.threshold}; the paper takes 0.88 for ViT-S on ADE20K')
        if not (is_pair(self.layers, int) and min(self.layers) >= 0):
            raise ValueError('layers must be (local, global), from 1, or 0 for none, got '
                             f'{cut(repr(self.layers))}; the paper takes (1, 5)')
        if not (is_pair(self.window, int) and min(self.window) >= 1
                and math.prod(self.window) >= 2):
            raise ValueError('window must be (rows, columns) of two patches or more, got '
                             f'{cut(repr(self.window))}; the paper takes (2, 2)')
        if not (is_pair(self.shares, float) and all(0 <= share <= 1 for share in self.shares)):
            raise ValueError('shares must be fractions of (windows, pairs) in [0, 1], got '
                             f'{cut(repr(self.shares))}; the paper takes about (0.5, 0.44)')
        if self.tokens_per_layer < 0:
            raise ValueError('tokens_per_layer must be at least 0, got '
                             f'{self.tokens_per_layer}; 44 leave half of 1025 after 12 layers')

    @property
    def local(self) -> int:
        """Layer of local merging, 0 for none."""
        return 0 if self.rule == 'every' else self.layers[0]

    @property
    def anywhere(self) -> int:
        """Layer of global merging, 0 for none."""
        return 0 if self.rule == 'every' else self.layers[1]

    def check_depth(self, depth: int) -> None:
        """Raise ValueError unless a network of this depth has the layers."""
        layers = self.local, self.anywhere
        if max(layers) > depth or (all(layers) and layers[0] >= layers[1]):
            raise ValueError(f'layers must be (local, global) with 1 <= local < global <= {depth}'
                             ', the blocks of this network, or 0 for none, got '
                             f'{layers}; the paper takes (1, 5)')


def is_pair(value: object, kind: type) -> bool:
    """Tell whether a value is two numbers of a kind; a whole number is a float, too."""
    kinds = (int, float) if kind is float else (int,)
    return isinstance(value, tuple) and len(value) == 2 and all(type(x) in kinds for x in value)


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError, naming the nearest, unless the value is known."""
    if value not in known:
        raise ValueError(f'unknown {name} {value!r}; {nearest(value, known)}')
