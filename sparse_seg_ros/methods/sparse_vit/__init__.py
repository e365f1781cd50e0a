# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SparseViT: a Swin transformer leaves out the windows in which least happens."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.kind import Kind, MethodConfig, scale_and_temperature
from sparse_seg_ros.methods.sparse_vit.method import SparseViT
from sparse_seg_ros.model_card import Model


@dataclass(frozen=True)
class SparseViTConfig(MethodConfig):
    """Settings of a network whose windows are left out in part."""

    window_sparsity: tuple[float, float, float, float] = setting(
        (0.2, 0.3, 0.4, 0.5), 'fraction of the windows that each stage leaves out',
        at_least=0.0, at_most=0.95)


def build(model: Model, config: SparseViTConfig) -> SparseViT:
    """Put a network on a Swin transformer under the method."""
    return SparseViT(model.network, config.window_sparsity,
                     *scale_and_temperature(config, model.card))


KIND = Kind(SparseViTConfig, build, needs_torch=True)
__all__ = ['KIND', 'SparseViT', 'SparseViTConfig']
