# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Objectives of SparseRefine's rivals; the dense network stays frozen, as it does there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.loading.checkpoints import Model
from sparse_seg_ros.methods.dense import shrink
from sparse_seg_ros.methods.patch_refine.loss import patch_loss
from sparse_seg_ros.methods.point_rend.loss import point_loss
from sparse_seg_ros.methods.point_rend.maps import read_maps
from sparse_seg_ros.networks import run_padded


class RivalObjective(nn.Module):
    """What both have in common: the refiner that is trained and the network that is not."""

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained, self.scale = model.refiner, model.card.scale
        self.frozen = (model.network.eval().requires_grad_(False),)  # a tuple hides it from train
        self.register_buffer('class_weights', class_weights)


class PatchObjective(RivalObjective):
    """SparseRefine's two cross entropies, over the pixels of the chosen patches."""

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        with torch.no_grad():
            logits = run_padded(self.frozen[0], shrink(images, self.scale)).float()
        return patch_loss(self.trained(images, logits), labels, self.class_weights)


class PointObjective(RivalObjective):
    """Cross entropy at random points, most of them in doubt."""

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        with torch.no_grad():
            maps = read_maps(self.frozen[0], shrink(images, self.scale))
        return point_loss(self.trained, maps, labels, self.class_weights)
