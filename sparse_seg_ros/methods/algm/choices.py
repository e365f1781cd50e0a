# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How many candidates merge: from their similarities (B, n), one number for all images of a batch.

By a threshold, the number is that of the image with the fewest above it, as the paper trains; a
batch of one merges all it can. Different from the paper: a similarity equal to the threshold
counts, as released. A share of the candidates, or a number of them, depends on the size of the
images alone: no shape then depends on what they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

Choice = Callable[[Tensor], int]


def at_least(similarity: Tensor, threshold: float | Tensor) -> int:
    """(B, n) similarities -> the fewest in an image that reach the threshold."""
    return int((similarity >= threshold).sum(1).min())


def above_mean(similarity: Tensor, layer: int) -> int:
    """
    (B, n) -> the same with a threshold for each image, as released.

    It is their mean + standard deviation / layer; fewer than two have no deviation: none merge.
    """
    return at_least(similarity, adaptive_threshold(similarity, layer))


def adaptive_threshold(similarity: Tensor, layer: int) -> Tensor:
    """(B, n) -> (B, 1) mean + standard deviation / layer; infinite for fewer than two."""
    if similarity.shape[1] < 2:
        return similarity.new_full((len(similarity), 1), math.inf)
    return similarity.mean(1, keepdim=True) + similarity.std(1, keepdim=True) / layer


def share_of(similarity: Tensor, share: float) -> int:
    """(B, n) -> a share of n, rounded."""
    return round(share * similarity.shape[1])


def up_to(similarity: Tensor, most: int) -> int:
    """(B, n) -> the wanted number, or all n."""
    return min(most, similarity.shape[1])
