# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a dense network learns: a loss for a batch.

Called with images (B, 3, H, W) normalised, labels (B, H, W) and sources (B,), where each image
comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.dense.policy_loss import policy_loss
from sparse_seg_ros.methods.losses import is_imitated, mean_cross_entropy, mean_imitation
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.images import shrink


class DenseObjective(nn.Module):
    """
    Cross entropy of a network at its own resolution.

    With a teacher (Hinton et al. 2015, at temperature 1), half of it is the cross entropy with the
    teacher's probabilities; images without labels have that half alone. With a second scale, the
    loss there is added, for which the network at its own scale is the teacher. The loss of each
    exit of a network is added, too, and that of a policy network.
    """

    class_weights: Tensor
    trained: Any  # a network, perhaps with exits

    def __init__(self, model: Model, class_weights: Tensor, teacher: Callable | None = None,
                 second_scale: float = 0.0):
        super().__init__()
        self.trained, self.scale, self.teacher = model.network, model.card.scale, teacher
        self.second_scale = second_scale
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        logits, *exits = self.predict(images, self.scale)
        expected = self.teacher(images, logits.shape[-2:]) if self.teacher else None
        loss = self.compare_all((logits, *exits), labels, expected)
        if getattr(self.trained, 'policy', None):
            small = shrink(images, self.scale)
            scores = run_padded(self.trained, small, self.trained.policy)
            loss = loss + policy_loss(scores, labels, small.shape[2:])
        if not self.second_scale:
            return loss
        small = self.predict(images, self.second_scale)
        expected = F.interpolate(logits.detach().softmax(1), small[0].shape[-2:], mode='area')
        return loss + self.compare_all(small, labels, expected)

    def predict(self, images: Tensor, scale: float) -> Sequence[Tensor]:
        """(B, 3, H, W) -> (B, C, h, w) of the network, and of each of its exits."""
        images = shrink(images, scale)
        if getattr(self.trained, 'exit_heads', None):
            return run_padded(self.trained, images, self.trained.with_exits).float().unbind(1)
        return (run_padded(self.trained, images).float(),)

    def compare_all(self, logits: Sequence[Tensor], labels: Tensor,
                    expected: Tensor | None) -> Tensor:
        """Add the losses of several results."""
        return torch.stack([self.compare(each, labels, expected) for each in logits]).sum()

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
