# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PatchRefine: SparseRefine's rival that refines whole patches, densely."""

from __future__ import annotations

from torch import nn

from sparse_seg_ros.methods.kind import Kind, ThresholdConfig, scale_and_temperature
from sparse_seg_ros.methods.patch_refine.method import PatchRefine
from sparse_seg_ros.methods.patch_refine.objective import PatchObjective
from sparse_seg_ros.methods.patch_refine.refiner import PatchRefiner
from sparse_seg_ros.model_card import Model, ModelCard


def build(model: Model, config: ThresholdConfig) -> PatchRefine:
    """Put network and refiner under the method."""
    return PatchRefine(model.network, model.require_refiner(PatchRefiner),
                       *scale_and_temperature(config, model.card))


def build_refiner(card: ModelCard, network: nn.Module) -> PatchRefiner:
    """Return the refiner that a card describes, untrained."""
    return PatchRefiner(len(card.classes), card.planes, card.require_alpha(), card.inputs,
                        card.patch)


KIND = Kind(ThresholdConfig, build, build_refiner, 'patch_refine', PatchObjective)
__all__ = ['KIND', 'PatchObjective', 'PatchRefine', 'PatchRefiner']
