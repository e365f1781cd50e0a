# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Features at the active pixels of a level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType

from torch import Tensor

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.level import Level


@dataclass(frozen=True)
class SparseTensor:
    """(N, C) features, row i at `level.sites[i]`, and the backend that convolves them."""

    features: Tensor
    level: Level
    backend: ModuleType = reference

    def __post_init__(self):
        """Check that there is one row per site."""
        if self.features.dim() != 2 or len(self.features) != len(self.level):
            raise ValueError(
                f'features must be ({len(self.level)}, C), one row per active pixel, '
                f'got {tuple(self.features.shape)}'
            )

    def with_features(self, features: Tensor) -> SparseTensor:
        """(N, C) other features at the same pixels."""
        return replace(self, features=features)

    def at(self, level: Level, features: Tensor) -> SparseTensor:
        """(M, C) features at another level's pixels."""
        return replace(self, features=features, level=level)
