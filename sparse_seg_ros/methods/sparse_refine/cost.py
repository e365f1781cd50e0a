# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Multiply-accumulates of a refiner on one selection: only pairs of active pixels count.

The paper's 0.184 T at 11.8 % density is such a count; it depends on the shape of the selection,
not only on its size.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler
from sparse_seg_ros.methods.sparse_refine.pointnet import PointNet
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.sparse.level import Level


def count_macs(refiner: SparseRefiner, selected: Tensor) -> dict[str, int]:
    """
    (B, H, W) bool -> multiply-accumulates of 'extract' (with the head) and 'ensemble'.

    Norms and activations do not count.
    """
    pixels, extractor, side = int(selected.sum()), refiner.extractor, refiner.parts.side
    sites = selected[:, ::side, ::side]  # one for each block, exact where side divides the size
    if isinstance(extractor, PointNet):
        per_image = extractor.join_whole.kernel.numel()
        extract = (_count_weights(extractor) - per_image) * pixels + per_image * len(selected)
    else:
        in_channels, planes = extractor.stem.kernel.shape[1], extractor.planes
        stem = in_channels * planes[0] * count_neighbours(sites)
        extract = stem + _count_stages(Level(sites), planes)
    is_gated = isinstance(refiner.ensembler, Ensembler)  # sees the coarse logits once per site
    spared = refiner.ensembler.gate[0].weight.numel() // 2 * (pixels - int(sites.sum())) \
        if is_gated and side > 1 else 0
    return {
        'extract': extract + _count_weights(refiner.head) * int(sites.sum()),
        'ensemble': _count_weights(refiner.ensembler) * pixels - spared,
    }


def _count_weights(module: nn.Module) -> int:
    """Count what each pixel is multiplied with in layers that see it by itself."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim == 2)


def count_neighbours(mask: Tensor) -> int:
    """(B, H, W) bool -> pairs of active pixels at most one step apart, themselves included."""
    right = mask[:, :, 1:] & mask[:, :, :-1]
    below = mask[:, 1:] & mask[:, :-1]
    diagonal = mask[:, 1:, 1:] & mask[:, :-1, :-1]
    antidiagonal = mask[:, 1:, :-1] & mask[:, :-1, 1:]
    both_ways = right.sum() + below.sum() + diagonal.sum() + antidiagonal.sum()
    return int(mask.sum() + 2 * both_ways)


def count_strided(mask: Tensor) -> int:
    """(B, H, W) bool -> pairs of an active pixel and a coarser one whose 3x3 window holds it."""
    height, width = ((side - 1) // 2 for side in mask.shape[1:])
    windows = [mask[:, dy::2, dx::2][:, :height, :width] for dy in range(3) for dx in range(3)]
    return sum(int(window.sum()) for window in windows)


def _count_stages(level: Level, planes: tuple[int, ...]) -> int:
    """Count from this level down: nine 3x3 and two 1x1 of c^2 here, there and back, the rest."""
    width = planes[0]
    neighbours = count_neighbours(level.mask)
    if len(planes) == 1:
        return 4 * width**2 * neighbours
    here = width**2 * (9 * neighbours + 2 * int(level.mask.sum()))
    there_and_back = 2 * width * planes[1] * count_strided(level.mask)
    return here + there_and_back + _count_stages(level.coarser, planes[1:])
