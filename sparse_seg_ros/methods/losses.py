# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Losses that several methods train with.

Means are over the pixels of all processes, so that several processes get the loss and the
gradients that one process gets for the whole batch.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.processes import mean_over_processes


def mean_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """(B, C, ...) logits, (B, ...) ids -> weighted mean over what is not void; 0 without any."""
    known = targets[targets != VOID]
    if class_weights is None:
        class_weights = logits.new_ones(logits.shape[1])
    total = F.cross_entropy(logits, targets, class_weights, ignore_index=VOID, reduction='sum')
    return total / positive(mean_over_processes(class_weights[known].sum()))


def mean_imitation(logits: Tensor, expected: Tensor, counts: Tensor) -> Tensor:
    """(B, C, ...) logits, probabilities, (B, ...) bool -> mean cross entropy where that is so."""
    losses = F.cross_entropy(logits, expected, reduction='none')
    return (losses * counts).sum() / positive(mean_over_processes(counts.float().sum()))


def is_imitated(labels: Tensor) -> Tensor:
    """(B, H, W) ids -> (B, H, W) bool: where there is a label, or all of an image without any."""
    known = labels != VOID
    return known | ~known.flatten(1).any(1)[:, None, None]


def positive(values: Tensor) -> Tensor:
    """Replace 0 by 1, to divide by."""
    return values.where(values > 0, values.new_ones(()))
