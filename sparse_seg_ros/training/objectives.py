# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is trained: a loss for a batch, and the model that comes out. One class per stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.checkpoints import Model
from sparse_seg_ros.methods.dense import shrink
from sparse_seg_ros.methods.sparse_refine.loss import mean_cross_entropy, refinement_loss
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.training.rivals import PatchObjective, PointObjective


class DenseObjective(nn.Module):
    """Cross entropy of a network at its own resolution."""

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained, self.scale = model.network, model.card.scale
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids -> scalar loss."""
        logits = run_padded(self.trained, shrink(images, self.scale)).float()
        labels = sample(labels, logits.shape[-2:])
        return mean_cross_entropy(logits, labels.long(), self.class_weights)


def sample(labels: Tensor, size_hw: torch.Size) -> Tensor:
    """
    (B, H, W) -> (B, h, w): one label at random of those that each low-resolution pixel covers.

    Over many steps the network learns the mixture in each pixel, so its entropy there is true.
    """
    if labels.shape[1:] == size_hw:
        return labels
    rows, columns = (
        ((torch.arange(small) + torch.rand(())) * large / small).long().clamp(max=large - 1)
        for small, large in zip(size_hw, labels.shape[1:]))
    return labels[:, rows[:, None], columns]


class RefinerObjective(nn.Module):
    """The paper's two cross entropies on selected pixels; the dense network stays frozen."""

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained = model.refiner
        network = model.network.eval().requires_grad_(False)
        self.method = SparseRefine(network, model.refiner, model.card.scale)  # hidden from train()
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids -> scalar loss."""
        with torch.no_grad():
            logits, features = self.method.coarse(images)
        seen = self.trained(images, logits, features=features, labels=labels)
        return refinement_loss(seen, labels, self.class_weights)


class ClassifierObjective(nn.Module):
    """Cross entropy of what whole pictures show."""

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained = model.network
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B,) ids -> scalar loss."""
        return mean_cross_entropy(self.trained(images).float(), labels, self.class_weights)


OBJECTIVES = {'dense': DenseObjective, 'refiner': RefinerObjective,
              'point_rend': PointObjective, 'patch_refine': PatchObjective,
              'classifier': ClassifierObjective}
