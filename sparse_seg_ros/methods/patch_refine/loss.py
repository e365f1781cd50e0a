# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training loss of a patch refiner: SparseRefine's, over all pixels of the chosen patches."""

from __future__ import annotations

from torch import Tensor

from sparse_seg_ros.methods.losses import mean_cross_entropy
from sparse_seg_ros.methods.patch_refine.refiner import PatchRefinement


def patch_loss(output: PatchRefinement, labels: Tensor,
               class_weights: Tensor | None = None) -> Tensor:
    """(B, H, W) ids -> scalar: CE(refined) + CE(ensembled), 0 where nothing is left of either."""
    targets = labels.flatten()[output.positions].long()[None]
    refined, ensembled = (mean_cross_entropy(logits.float().t()[None], targets, class_weights)
                          for logits in (output.refined, output.ensembled))
    return refined + ensembled
