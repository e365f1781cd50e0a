# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a SparseRefiner learns: a loss for a batch.

Called with images (B, 3, H, W) normalised, labels (B, H, W) and sources (B,), where each image
comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.reading import enlarge
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine.loss import refinement_loss
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks.features import Features
from sparse_seg_ros.networks.images import size_of


class RefinerObjective(nn.Module):
    """
    The paper's two cross entropies on selected pixels; dense networks stay frozen.

    networks: the one that predicts in each source; empty: the model's own in all. With a teacher,
    such as the network at full resolution, half of each is the cross entropy with its
    probabilities.
    """

    class_weights: Tensor

    def __init__(self, model: Model, class_weights: Tensor, networks: Sequence[nn.Module] = (),
                 teacher: Callable | None = None):
        super().__init__()
        self.trained, self.teacher = model.require_refiner(SparseRefiner), teacher
        self.methods = [  # no modules: hidden from train()
            SparseRefine(network.eval().requires_grad_(False), self.trained, model.card.scale)
            for network in networks or (model.network,)]
        self.register_buffer('class_weights', class_weights)

    def train(self, mode: bool = True) -> RefinerObjective:
        """Switch modes; the norms of a part that does not learn keep their statistics."""
        super().train(mode)
        for part in self.trained.children():
            parameters = list(part.parameters())
            if parameters and not any(one.requires_grad for one in parameters):
                part.eval()
        return self

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        with torch.no_grad():
            logits, features = self.coarse(images, sources)
        seen_images, _ = self.methods[0].refiner_input(images, None, size_of(logits))
        labels = enlarge(labels, size_of(seen_images))
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
