# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PointRend: a network over the shrunken image, and a perceptron at its uncertain points."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.kind import Kind, RefiningConfig, scale_and_temperature
from sparse_seg_ros.methods.point_rend.head import PointHead
from sparse_seg_ros.methods.point_rend.method import POINTS, PointRend
from sparse_seg_ros.methods.point_rend.objective import PointObjective
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks.features import count_features


@dataclass(frozen=True)
class PointRendConfig(RefiningConfig):
    """Settings of PointRend."""

    points: int = setting(POINTS, 'points predicted anew after each doubling of 1024x2048 '
                          'pixels; other sizes in proportion', at_least=0)


def build(model: Model, config: PointRendConfig) -> PointRend:
    """Put network and head under the method."""
    return PointRend(model.network, model.require_refiner(PointHead),
                     *scale_and_temperature(config, model.card), config.points)


def build_refiner(card: ModelCard, network: nn.Module) -> PointHead:
    """Return the head that a card describes, untrained."""
    return PointHead(len(card.classes), count_features(network), card.planes)


KIND = Kind(PointRendConfig, build, build_refiner, 'point_rend', PointObjective)
__all__ = ['KIND', 'PointHead', 'PointObjective', 'PointRend', 'PointRendConfig']
