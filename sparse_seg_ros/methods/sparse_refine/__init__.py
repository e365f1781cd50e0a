# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SparseRefine: a low-resolution network everywhere, a sparse U-Net where it is unsure."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.kind import Kind, ThresholdConfig, scale_and_temperature
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.objective import RefinerObjective
from sparse_seg_ros.methods.sparse_refine.parts import ENSEMBLERS, SELECTORS, Parts, block_side
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks.features import count_features


@dataclass(frozen=True)
class SparseRefineConfig(ThresholdConfig):
    """Settings of SparseRefine."""

    selector: str | None = setting(
        None, 'the score that is compared with alpha: entropy in nats, others from 0 to 1; null: '
        'as with the weights', choices=SELECTORS)
    ensembler: str | None = setting(
        None, 'how the two predictions of a pixel become one; null: as with the weights',
        choices=ENSEMBLERS)


def build(model: Model, config: SparseRefineConfig) -> SparseRefine:
    """Put network and refiner under the method, with the parts that the settings name."""
    refiner = model.require_refiner(SparseRefiner).with_parts(config.selector, config.ensembler)
    if refiner.parts.selector != model.card.selector and config.alpha is None:
        raise ValueError(f'selector {config.selector!r} needs its own alpha, from 0 to '
                         f'{refiner.selector.most:.3g}: that of the weights belongs to '
                         f'{model.card.selector!r}')
    return SparseRefine(model.network, folded(refiner),
                        *scale_and_temperature(config, model.card))


def build_refiner(card: ModelCard, network: nn.Module) -> SparseRefiner:
    """Return the refiner that a card describes, untrained."""
    channels = count_features(network) if 'features' in card.inputs else 0
    side = block_side(card.network, card.extractor, card.scale)
    parts = Parts(card.selector, card.extractor, card.ensembler, channels, side)
    return SparseRefiner(len(card.classes), card.planes, card.require_alpha(), card.inputs,
                         parts=parts)


KIND = Kind(SparseRefineConfig, build, build_refiner, 'refiner', RefinerObjective)
__all__ = ['KIND', 'RefinerObjective', 'SparseRefine', 'SparseRefineConfig', 'SparseRefiner']
