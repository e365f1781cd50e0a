# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the objectives share that train a refiner under a frozen dense network."""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.model_card import Model


class FrozenObjective(nn.Module):
    """The refiner that is trained and the network that is not."""

    class_weights: Tensor

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained, self.scale = model.require_refiner(nn.Module), model.card.scale
        self.frozen = (model.network.eval().requires_grad_(False),)  # a tuple hides it from train
        self.register_buffer('class_weights', class_weights)
