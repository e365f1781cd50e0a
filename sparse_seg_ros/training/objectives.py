# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Objectives by the name of their training stage: each gives the loss of a batch.

The objectives of the methods are in their folders; a classifier belongs to no method.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from sparse_seg_ros.methods import METHODS
from sparse_seg_ros.methods.dense.masks import MaskObjective
from sparse_seg_ros.methods.kind import find_kind
from sparse_seg_ros.methods.losses import mean_cross_entropy
from sparse_seg_ros.model_card import Model

CLASSIFIER = 'classifier'


class ClassifierObjective(nn.Module):
    """Cross entropy of what whole pictures show."""

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        self.trained = model.network
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B,) ids, (B,) -> scalar loss."""
        return mean_cross_entropy(self.trained(images).float(), labels, self.class_weights)


def methods_of_stages() -> dict[str, str]:
    """Return the stages that train what a method runs, and that method."""
    kinds = {name: find_kind(name) for name in METHODS}
    return {kind.stage: name for name, kind in kinds.items() if kind.stage}


def stages() -> tuple[str, ...]:
    """Return the names that the setting `stage` may have."""
    return (*methods_of_stages(), CLASSIFIER)


def refining_method(stage: str) -> str | None:
    """Name of a stage -> the method whose refiner it trains; None where it trains a network."""
    method = methods_of_stages().get(stage)
    return method if method and find_kind(method).build_refiner else None


def objective_of(stage: str, loss: str = 'pixels') -> Callable[..., nn.Module]:
    """Name of a stage, and what it compares -> its objective."""
    if loss == 'masks':
        return MaskObjective
    return ClassifierObjective if stage == CLASSIFIER else \
        find_kind(methods_of_stages()[stage]).objective
