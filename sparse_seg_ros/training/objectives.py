# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is trained: a loss for a batch, and the model that comes out. One class per stage.

Each is called with images (B, 3, H, W) normalised, labels (B, H, W), or (B,) of a classifier, and
sources (B,), where each image comes from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.loading.checkpoints import Model
from sparse_seg_ros.methods.dense import shrink
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine.loss import (
    is_imitated,
    mean_cross_entropy,
    mean_imitation,
    refinement_loss,
)
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.features import Features
from sparse_seg_ros.training.rivals import PatchObjective, PointObjective
from sparse_seg_ros.training.teacher import Teacher


class DenseObjective(nn.Module):
    """
    Cross entropy of a network at its own resolution.

    With a teacher (Hinton et al. 2015, at temperature 1), half of it is the cross entropy with the
    teacher's probabilities; images without labels have that half alone. With a second scale, the
    loss there is added, for which the network at its own scale is the teacher.
    """

    def __init__(self, model: Model, class_weights: Tensor, teacher: Teacher | None = None,
                 second_scale: float = 0.0):
        super().__init__()
        self.trained, self.scale, self.teacher = model.network, model.card.scale, teacher
        self.second_scale = second_scale
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        logits = self.predict(images, self.scale)
        expected = self.teacher(images, logits.shape[-2:]) if self.teacher else None
        loss = self.compare(logits, labels, expected)
        if not self.second_scale:
            return loss
        small = self.predict(images, self.second_scale)
        expected = F.interpolate(logits.detach().softmax(1), small.shape[-2:], mode='area')
        return loss + self.compare(small, labels, expected)

    def predict(self, images: Tensor, scale: float) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        return run_padded(self.trained, shrink(images, scale)).float()

    def compare(self, logits: Tensor, labels: Tensor, expected: Tensor | None) -> Tensor:
        """(B, C, h, w), (B, H, W) ids, (B, C, h, w) probabilities -> scalar loss."""
        labels = sample(labels, logits.shape[-2:])
        loss = mean_cross_entropy(logits, labels.long(), self.class_weights)
        if expected is None:
            return loss
        return (loss + mean_imitation(logits, expected, is_imitated(labels))) / 2


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
    """
    The paper's two cross entropies on selected pixels; dense networks stay frozen.

    networks: the one that predicts in each source; empty: the model's own in all. With a teacher,
    such as the network at full resolution, half of each is the cross entropy with its
    probabilities.
    """

    def __init__(self, model: Model, class_weights: Tensor, networks: Sequence[nn.Module] = (),
                 teacher: Teacher | None = None):
        super().__init__()
        self.trained, self.teacher = model.refiner, teacher
        self.methods = [  # no modules: hidden from train()
            SparseRefine(network.eval().requires_grad_(False), model.refiner, model.card.scale)
            for network in networks or (model.network,)]
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        with torch.no_grad():
            logits, features = self.coarse(images, sources)
        seen_images, labels = self.methods[0].refiner_input(images, labels, logits.shape[2:])
        seen = self.trained(seen_images, logits, features=features, request=Request(truth=labels))
        expected = self.teacher(images, seen_images.shape[-2:]) if self.teacher else None
        return refinement_loss(seen, labels, self.class_weights, expected)

    def coarse(self, images: Tensor, sources: Tensor) -> tuple[Tensor, Features | None]:
        """(B, 3, H, W), (B,) -> (B, C, h, w) by the network of each source, and its features."""
        if len(self.methods) == 1:
            return self.methods[0].coarse(images)
        groups = [(source == sources).nonzero()[:, 0] for source in sources.unique()]
        logits = [self.methods[sources[rows[0]]].coarse_logits(images[rows]) for rows in groups]
        return torch.cat(logits)[torch.cat(groups).argsort()], None


class ClassifierObjective(nn.Module):
    """Cross entropy of what whole pictures show."""

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained = model.network
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B,) ids, (B,) -> scalar loss."""
        return mean_cross_entropy(self.trained(images).float(), labels, self.class_weights)


OBJECTIVES = {'dense': DenseObjective, 'refiner': RefinerObjective,
              'point_rend': PointObjective, 'patch_refine': PatchObjective,
              'classifier': ClassifierObjective}
