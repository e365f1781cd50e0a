# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ALGM: similar tokens of a vision transformer merge, first in small windows, then anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.patch import apply, remove, token_counts
from sparse_seg_ros.methods.algm.settings import KINDS, RULES, VALUES, Merging
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.kind import Kind, scale_and_temperature
from sparse_seg_ros.model_card import Model


@dataclass(frozen=True)
class AlgmConfig(DenseConfig):
    """Settings of a network whose tokens merge."""

    merge_layers: tuple[int, int] = setting(
        (1, 5), 'layers of the first and the second merging, from 1; 0: no such merging',
        at_least=0)
    merge_kinds: tuple[str, str] = setting(
        ('local', 'global'), 'what merges in each: windows (local) or pairs anywhere (global)',
        choices=KINDS)
    merge_threshold: float = setting(
        0.88, 'tokens merge from this cosine similarity on', at_least=-1.0, at_most=1.0)
    merge_rule: str = setting(
        'adaptive', "adaptive: pairs merge by each image's own threshold; fixed: by "
        'merge_threshold; share: by merge_shares; every: some tokens in every layer; elvit, '
        'ailurus, pooling: clusters, merge_keep of the tokens; dtop, dovit: tokens stop at exits; '
        'cts: a policy network lets patches share a token',
        choices=RULES)
    merge_window: tuple[int, int] = setting(
        (2, 2), 'rows and columns of the patches that merge locally', at_least=1)
    merge_shares: tuple[float, float] = setting(
        (0.5, 0.44), 'rule share: fractions of the windows or pairs that merge in each layer; '
        'rule cts: the first, of windows of 2 x 2 patches that share a token',
        at_least=0.0, at_most=1.0)
    merge_tokens: int = setting(
        44, 'rule every: number of tokens that merge in each layer', at_least=0)
    merge_keep: float = setting(
        0.5, 'rules elvit and ailurus, in the second layer, and pooling, in both: fraction of the '
        'tokens that is kept', at_least=0.01, at_most=1.0)
    merge_values: str = setting(
        'average', 'a merged token is the average of its tokens, or a random one of them',
        choices=VALUES)
    merge_reduces: bool = setting(
        True, 'false: tokens that would merge get the value of the merged one instead')
    merge_confidence: float = setting(
        0.95, 'rules dtop and dovit: probability above which a token stops at an exit',
        at_least=0.0, at_most=1.0)
    merge_context: int = setting(
        5, 'rule dtop: number of the most confident tokens of each class that go on',
        at_least=0)

    def merging(self) -> Merging:
        """Return how tokens merge."""
        return Merging(self.merge_layers, self.merge_threshold, self.merge_rule,
                       self.merge_window, self.merge_shares, self.merge_tokens,
                       kinds=self.merge_kinds, keep=self.merge_keep, values=self.merge_values,
                       reduces=self.merge_reduces, confidence=self.merge_confidence,
                       context=self.merge_context)


def build(model: Model, config: AlgmConfig) -> Algm:
    """Put a vision transformer under the method."""
    return Algm(model.network, config.merging(), *scale_and_temperature(config, model.card),
                config.windows())


KIND = Kind(AlgmConfig, build)
__all__ = ['KIND', 'Algm', 'AlgmConfig', 'Merging', 'apply', 'remove', 'token_counts']
