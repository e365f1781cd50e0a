# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a PatchRefiner learns; the dense network stays frozen."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_seg_ros.methods.frozen import FrozenObjective
from sparse_seg_ros.methods.patch_refine.loss import patch_loss
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.images import shrink


class PatchObjective(FrozenObjective):
    """SparseRefine's two cross entropies, over the pixels of the chosen patches."""

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        with torch.no_grad():
            logits = run_padded(self.frozen[0], shrink(images, self.scale)).float()
        return patch_loss(self.trained(images, logits), labels, self.class_weights)
