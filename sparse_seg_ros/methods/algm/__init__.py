# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ALGM: similar tokens of a vision transformer merge, first in small windows, then anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.patch import apply, remove, token_counts
from sparse_seg_ros.methods.algm.settings import RULES, MergeSettings, Merging
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.kind import Kind, scale_and_temperature
from sparse_seg_ros.model_card import Model


@dataclass(frozen=True)
class AlgmConfig(MergeSettings, DenseConfig):
    """Settings of a network whose tokens merge."""

    merge_layers: tuple[int, int] = setting(
        (1, 5), 'layers of the first and the second merging, from 1; 0: no such merging',
        at_least=0)
    merge_rule: str = setting(
        'adaptive', "adaptive: pairs merge by each image's own threshold; fixed: by "
        'merge_threshold; share: by merge_shares; every: some tokens in every layer; elvit, '
        'ailurus, pooling: clusters, merge_keep of the tokens; dtop, dovit, paumer: tokens stop '
        'at exits; cts: a policy network lets patches share a token',
        choices=RULES)
    def merging(self) -> Merging:
        """Return how tokens merge."""
        return self.merging_of(self.merge_layers, self.merge_rule)


def build(model: Model, config: AlgmConfig) -> Algm:
    """Put a vision transformer under the method."""
    return Algm(model.network, config.merging(), *scale_and_temperature(config, model.card),
                config.windows())


KIND = Kind(AlgmConfig, build, needs_torch=True)
__all__ = ['KIND', 'Algm', 'AlgmConfig', 'Merging', 'apply', 'remove', 'token_counts']
