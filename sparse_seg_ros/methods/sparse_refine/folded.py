# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A refiner for inference only: norms are folded into convolutions where that is possible."""

from __future__ import annotations

from copy import deepcopy

from torch import nn

from sparse_seg_ros.methods.sparse_refine.extractor import ResBlock
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.sparse.folding import fold
from sparse_seg_ros.sparse.layers import Conv, NormReLU


def folded(refiner: SparseRefiner) -> SparseRefiner:
    """Return a copy in evaluation mode that computes the same; it cannot be trained or saved."""
    twin = deepcopy(refiner).eval()
    for block in [module for module in twin.modules() if isinstance(module, ResBlock)]:
        before, conv, norm = block.norm1, block.conv1, block.norm2
        if isinstance(before, NormReLU) and isinstance(conv, Conv) and isinstance(norm, NormReLU):
            block.conv1 = fold(conv, norm, before)
            block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    return twin
