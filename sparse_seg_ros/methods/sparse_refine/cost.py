# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Multiply-accumulates of a refiner on one selection: only pairs of active pixels count.

The paper's 0.184 T at 11.8 % density is such a count. It depends on the shape of the selection,
not only on its size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler, layers_of
from sparse_seg_ros.methods.sparse_refine.pointnet import PointNet
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.methods.sparse_refine.sparse_network import SparseNetwork, around
from sparse_seg_ros.networks.folding import convolutions_of
from sparse_seg_ros.networks.mobilenet_edgetpu import ENDS
from sparse_seg_ros.sparse.level import Level


def count_macs(refiner: SparseRefiner, selected: Tensor) -> dict[str, int]:
    """
    (B, H, W) bool -> multiply-accumulates of 'extract' (with the head) and 'ensemble'.

    Norms and activations do not count. Where nothing is selected, nothing is computed.
    """
    pixels, extractor, side = int(selected.sum()), refiner.extractor, refiner.parts.side
    if not pixels:
        return {'extract': 0, 'ensemble': 0}
    sites = selected[:, ::side, ::side]  # one for each block, exact where side divides the size
    if isinstance(extractor, SparseNetwork):
        extract = _count_network(extractor, sites)
    elif isinstance(extractor, PointNet):
        per_image = extractor.join_whole.kernel.numel()
        extract = (_count_weights(extractor) - per_image) * pixels + per_image * len(selected)
    else:
        in_channels, planes = extractor.stem.kernel.shape[1], extractor.planes
        stem = in_channels * planes[0] * count_neighbours(sites)
        extract = stem + _count_stages(Level(sites), planes)
    ensembler = refiner.ensembler  # a gated one sees the coarse logits once per site
    spared = layers_of(ensembler.gate)[0].weight.numel() // 2 * (pixels - int(sites.sum())) \
        if isinstance(ensembler, Ensembler) and side > 1 else 0
    head = 0 if refiner.head is None else _count_weights(refiner.head)
    return {
        'extract': extract + head * int(sites.sum()),
        'ensemble': _count_weights(refiner.ensembler) * pixels - spared,
    }


def _count_weights(module: nn.Module) -> int:
    """Count what each pixel is multiplied with in layers that see it by itself."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim == 2)


def _count_network(extractor: SparseNetwork, sites: Tensor) -> int:
    """(B, h, w) bool -> those of the sparse layers, and of the dense ones at stride 16."""
    network, half = extractor.network, around(Level(sites))
    encoder, levels = network.backbone, (half, half.coarser, half.coarser.coarser)
    counts = [int(level.mask.sum()) for level in levels]
    pairs = [count_neighbours(level.mask) for level in levels]
    total = counts[0] * (_count_convolutions(encoder.stem) + _count_convolutions(network.head))
    for place, block in enumerate(encoder.bottlenecks(0, ENDS[1])):
        at = 1 + (place >= ENDS[0])
        is_first = place in (0, ENDS[0])
        met = count_strided(F.pad(levels[at - 1].mask, (1,) * 4)) if is_first else pairs[at]
        total += met * _count_convolutions(block.expand) // 9
        total += counts[at] * _count_convolutions(block.project)
    for at, block in zip((2, 1, 0), (*network.smooth, network.join)):
        for name, times in (('first', pairs[at]), ('second', pairs[at]),
                            ('shortcut', 9 * counts[at])):
            total += times * _count_convolutions(getattr(block, name)) // 9
    for at, lateral in zip((2, 1), network.laterals[1:]):
        total += counts[at] * _count_convolutions(lateral)
    batch, height, width = levels[2].mask.shape
    stages = encoder.blocks[ENDS[1]:]
    deep = torch.Size((batch, network.widths[-2], height, width))
    total += count_module(stages, *deep)
    places = batch * (height // 2) * (width // 2)
    per_place = (encoder.widen, encoder.local, encoder.join, network.laterals[0],
                 network.coarse_head)
    averaging = encoder.widen.out_channels  # a product, too
    return total + places * (averaging + sum(map(_count_convolutions, per_place))) \
        + batch * _count_convolutions(encoder.pooled)


def _count_convolutions(module: nn.Module) -> int:
    """Count the weights of the convolutions in a module."""
    return sum(part.weight.numel() for part in convolutions_of(module))


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
