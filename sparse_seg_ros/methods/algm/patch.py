# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Token merging put into a Segmenter, and taken out again.

ALGM, section 3.3: between attention and perceptron, locally in one layer and globally in a later
one. No parameters: weights stay as they are; attention is not weighted by size. In evaluation
each image of a batch is processed by itself, so that no result depends on the others; in training
as well, unless batch_rule is 'shared': then all images of a batch keep as many tokens as the one
that keeps most, as the paper trains.
"""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from sparse_seg_ros.config import nearest
from sparse_seg_ros.methods.algm.merging import adaptive_threshold, merge_global, merge_local
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT

RULES = ('adaptive', 'fixed')
BATCH_RULES = ('single', 'shared')


def apply(net: nn.Module, layers: tuple[int, int] = (1, 5), threshold: float = 0.88,
          rule: str = 'adaptive', window: tuple[int, int] = (2, 2),
          batch_rule: str = 'single') -> None:
    """
    Let a network merge tokens from now on; what was applied before is replaced.

    layers: of local and of global merging, from 1; the paper takes (1, 7) for ViT-L.
    threshold: cosine similarity from which a window merges; with rule 'fixed' pairs as well.
    rule: 'adaptive' merges pairs above a threshold taken from each image, as released.
    window: rows and columns of patches; `net.multiple` grows so that it divides every image.
    """
    segmenter = expect_segmenter(net)
    check_numbers(layers, threshold, window, depth=len(segmenter.encoder.blocks))
    check_choice('rule', rule, RULES)
    check_choice('batch_rule', batch_rule, BATCH_RULES)
    adaptive = partial(adaptive_threshold, layer=layers[1])
    segmenter.encoder.merges = {
        layers[0]: partial(merge_local, window=window, threshold=threshold),
        layers[1]: partial(merge_global, threshold=threshold if rule == 'fixed' else adaptive)}
    segmenter.shares_count = batch_rule == 'shared'
    segmenter.multiple = segmenter.encoder.patch_size * math.lcm(*window)


def remove(net: nn.Module) -> None:
    """Undo apply: every result is again bit by bit what it was."""
    segmenter = expect_segmenter(net)
    segmenter.encoder.merges = {}
    segmenter.shares_count = False
    segmenter.multiple = segmenter.encoder.patch_size


def token_counts(net: nn.Module) -> list[list[int]]:
    """For each image of the last batch, the tokens that entered each block's perceptron."""
    counts = expect_segmenter(net).token_counts
    if not counts:
        raise ValueError('token counts are known after a forward pass; run the network first')
    return counts


def expect_segmenter(net: nn.Module) -> SegmenterViT:
    """Return the network if it has blocks in which tokens can merge."""
    if not isinstance(net, SegmenterViT):
        raise ValueError(f'token merging needs the blocks of a SegmenterViT, got '
                         f'{type(net).__name__}; build a network such as segmenter_s')
    return net


def check_numbers(layers: tuple[int, int], threshold: float, window: tuple[int, int],
                  depth: int) -> None:
    """Raise ValueError unless the settings fit a network of so many blocks."""
    if not (len(layers) == 2 and 1 <= layers[0] < layers[1] <= depth):
        raise ValueError(f'layers must be (local, global) with 1 <= local < global <= {depth}, '
                         f'the blocks of this network, got {layers}; the paper takes (1, 5)')
    if not -1 <= threshold <= 1:
        raise ValueError('threshold must be a cosine similarity in [-1, 1], got '
                         f'{threshold}; the paper takes 0.88 for ViT-S on ADE20K')
    if not (len(window) == 2 and min(window) >= 1 and math.prod(window) >= 2):
        raise ValueError('window must be (rows, columns) of two patches or more, got '
                         f'{window}; the paper takes (2, 2)')


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError, naming the nearest, unless the value is known."""
    if value not in known:
        raise ValueError(f'unknown {name} {value!r}; {nearest(value, known)}')
