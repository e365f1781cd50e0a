# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training losses: cross-entropy of both predictions at the selected pixels, and the selector."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.losses import (
    is_imitated,
    mean_cross_entropy,
    mean_imitation,
    positive,
)
from sparse_seg_ros.methods.sparse_refine.refiner import Refinement
from sparse_seg_ros.methods.sparse_refine.selector import find_errors
from sparse_seg_ros.processes import mean_over_processes


def refinement_loss(
    output: Refinement, labels: Tensor, class_weights: Tensor | None = None,
    expected: Tensor | None = None
) -> Tensor:
    """
    (B, H, W) labels -> scalar: CE(refined) + CE(ensembled), each a mean over selected pixels.

    Label 255 is ignored. Zero, with a gradient of zero, if nothing is left. class_weights: (C,)
    or None. expected: (B, C, H, W) probabilities of a teacher; half of the loss is then the cross
    entropy with those, also in images that have no labels. A selector that learns adds a loss of
    its own.
    """
    flat = output.flat
    targets = labels.flatten()[flat].long()[None]
    both = [logits.float().t()[None]  # (1, C, N): many times faster on CPU
            for logits in (output.refined, output.ensembled)]
    refined, ensembled = (mean_cross_entropy(logits, targets, class_weights) for logits in both)
    loss = refined + ensembled
    if expected is not None:
        wanted = expected.movedim(1, -1).flatten(0, 2)[flat].t()[None]  # (1, C, N)
        counts = is_imitated(labels).flatten()[flat][None]
        loss = (loss + sum(mean_imitation(logits, wanted, counts) for logits in both)) / 2
    if output.scores.requires_grad:
        loss = loss + selection_loss(output.scores, output.low_resolution, labels)
    return loss


def selection_loss(scores: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """(B, h, w) probabilities -> their cross entropy with the errors that each pixel covers."""
    known = (labels != VOID).float()
    errors = find_errors(logits, labels).float()
    size = scores.shape[1:]
    known, errors = (F.interpolate(part[:, None], size, mode='area')[:, 0]
                     for part in (known, errors))  # (B, h, w) fractions
    share = errors / positive(known)
    losses = F.binary_cross_entropy_with_logits(scores.logit(1e-6), share, reduction='none')
    return (losses * known).sum() / positive(mean_over_processes(known.sum()))
