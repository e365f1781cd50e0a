# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How similar tokens of one class are, and tokens of two: in each layer, and in windows of the first.

ALGM, section 3.2 and Figure 2: whether the cosine similarity tells what may merge. Tokens are
those after the attention of a layer, without merging. The class of a patch is that of most of its
labelled pixels; patches without any take no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.data.frame import FrameSequence
from sparse_seg_ros.evaluation.loop import read_labelled
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.networks.images import shrunk_hw
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.segmenter import Segmenter

WINDOWS = (2, 4, 8, 16, 32)  # patches along a side


@dataclass(frozen=True)
class ClassSimilarity:
    """Mean cosine similarities (of one class, of two) by layer, and by window in the first."""

    layers: dict[int, tuple[float, float]]
    windows: dict[int, tuple[float, float]]


class PairSums:
    """Sums over pairs of tokens in groups, without keeping a pair."""

    def __init__(self):
        self.pairs, self.totals = np.zeros(2), np.zeros(2)  # of one class, of two

    def add(self, values: Tensor, classes: Tensor, num_classes: int) -> None:
        """
        Count all ordered pairs within each of G groups: (G, n, d) values, (G, n) class ids.

        With unit rows x, the sum over pairs of a class is |sum x|^2 minus their number.
        """
        unit = F.normalize(values.double(), dim=2)
        is_known = classes < num_classes
        one_hot = F.one_hot(classes.clamp(max=num_classes - 1).long(), num_classes).double()
        one_hot = one_hot * is_known[..., None]  # (G, n, C)
        sums, counts = one_hot.mT @ unit, one_hot.sum(1)  # (G, C, d), (G, C)
        known = float(counts.sum())
        same = float(sums.square().sum()) - known
        same_pairs = float(counts.square().sum()) - known
        every = float(sums.sum(1).square().sum()) - known
        every_pairs = float(counts.sum(1).square().sum()) - known
        self.totals += same, every - same
        self.pairs += same_pairs, every_pairs - same_pairs

    def means(self) -> tuple[float, float]:
        """Return the mean similarity within a class and between two; nan without a pair."""
        same, other = (total / pairs if pairs else float('nan')
                       for total, pairs in zip(self.totals.tolist(), self.pairs.tolist()))
        return same, other


def measure_class_similarity(segment: Segmenter, frames: FrameSequence) -> ClassSimilarity:
    """Measure a segmenter whose tokens merge, while they do not, on whole images."""
    former = segment.method
    if not isinstance(former, Algm):
        raise ValueError('similarities of tokens need a segmenter whose tokens merge, got one of '
                         f'a {type(former).__name__}; load it with method algm')
    method = Algm(former.network, None, former.scale)
    segment, encoder, seen = segment.with_method(method), method.network.encoder, []

    def look(tokens: Tokens, _: Tensor) -> Tokens:
        seen.append(tokens)
        return tokens

    encoder.merges = dict.fromkeys(range(1, 1 + len(encoder.blocks)), look)
    by_layer = {layer: PairSums() for layer in encoder.merges}
    by_window = {side: PairSums() for side in WINDOWS}
    count = len(segment.labels)
    for image, label in read_labelled(frames, 'similarities within classes'):
        seen.clear()
        segment.coarse_logits(image)
        classes = classes_of_patches(label, shrunk_hw(label.shape, method.scale),
                                     seen[0].grid_hw, encoder.patch_size)
        for sums, tokens in zip(by_layer.values(), seen):
            values = tokens.values[:, 1:].cpu()
            sums.add(values, classes.reshape(1, -1), count)
        first = seen[0].values[0, 1:].cpu().unflatten(0, classes.shape)
        for side in (side for side in WINDOWS if side <= min(classes.shape)):
            of_windows = in_windows(classes[..., None], side)[..., 0]
            by_window[side].add(in_windows(first, side), of_windows, count)
    return ClassSimilarity({layer: sums.means() for layer, sums in by_layer.items()},
                           {side: sums.means() for side, sums in by_window.items()
                            if sums.pairs.any()})


def classes_of_patches(label: np.ndarray, size_hw: tuple[int, int], grid_hw: tuple[int, int],
                       side: int) -> Tensor:
    """
    (H, W) ids, size of the network's image -> (rows, columns) most frequent class of each patch.

    VOID where a patch has no labelled pixel, as where the image was padded.
    """
    small = F.interpolate(torch.from_numpy(label)[None, None], size_hw, mode='nearest')[0, 0]
    down, right = (cells * side - length for cells, length in zip(grid_hw, size_hw))
    ids = F.pad(small.long(), (0, right, 0, down), value=VOID)
    patches = ids.unfold(0, side, side).unfold(1, side, side).flatten(2)  # (rows, columns, side^2)
    votes = patches.new_zeros(*patches.shape[:2], 256, dtype=torch.int32)
    votes = votes.scatter_add_(2, patches, votes.new_ones(()).expand_as(patches))[..., :VOID]
    most, classes = votes.max(2)
    return classes.masked_fill(most == 0, VOID)


def in_windows(grid: Tensor, side: int) -> Tensor:
    """(rows, columns, c) -> (W, side^2, c) of the whole windows, from the first row and column."""
    return grid.unfold(0, side, side).unfold(1, side, side).flatten(0, 1).flatten(2).mT
