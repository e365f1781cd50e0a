# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training loss of the refiner: cross-entropy of both predictions at the selected pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.sparse_refine.refiner import Refinement

IGNORED = 255


def refinement_loss(
    output: Refinement, labels: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """
    (B, H, W) labels -> scalar: CE(refined) + CE(ensembled), each a mean over selected pixels.

    Label 255 is ignored. Zero, with a gradient of zero, if nothing is left. class_weights: (C,)
    or None.
    """
    targets = labels.flatten()[output.level.flat].long()
    return sum(
        mean_cross_entropy(logits.float().t()[None], targets[None], class_weights)
        for logits in (output.refined, output.ensembled)  # (1, C, N): many times faster on CPU
    )


def mean_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """(B, C, ...) logits, (B, ...) ids -> weighted mean over what is not void; 0 without any."""
    if not (targets != IGNORED).any():
        return logits.sum() * 0
    return F.cross_entropy(logits, targets, class_weights, ignore_index=IGNORED)
