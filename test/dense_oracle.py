# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The oracle of the sparse tests: ordinary dense convolutions, with the inactive pixels set to zero.

x is (B, C, H, W), mask is (B, 1, H, W) of the same float type. It shares no arithmetic with
`sparse_seg_ros.sparse`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def scatter(features: Tensor, mask: Tensor) -> Tensor:
    """(N, C), (B, H, W) bool -> (B, C, H, W), zero where the mask is False."""
    out = features.new_zeros((*mask.shape, features.shape[1]))
    return out.index_put(tuple(mask.nonzero().T), features).movedim(-1, 1)


def gather(x: Tensor, mask: Tensor) -> Tensor:
    """(B, C, H, W), (B, H, W) bool -> (N, C)."""
    return x.movedim(1, -1)[mask]


def dense_weight(kernel: Tensor) -> Tensor:
    """(9, Cin, Cout) -> (Cout, Cin, dy, dx), written out from the definition of the index."""
    columns = [torch.stack([kernel[dy + 3 * dx] for dx in range(3)]) for dy in range(3)]
    return torch.stack(columns).permute(3, 2, 0, 1)


def submanifold(x: Tensor, mask: Tensor, kernel: Tensor) -> Tensor:
    return F.conv2d(x * mask, dense_weight(kernel), padding=1) * mask


def coarser(mask: Tensor, padding: int = 0) -> Tensor:
    """Any of the nine inputs."""
    return F.max_pool2d(mask, 3, 2, padding)


def strided(x: Tensor, mask: Tensor, kernel: Tensor, padding: int = 0) -> Tensor:
    out = F.conv2d(x * mask, dense_weight(kernel), stride=2, padding=padding)
    return out * coarser(mask, padding)


def transposed(x: Tensor, mask: Tensor, kernel: Tensor, padding: int = 0) -> Tensor:
    """x at `coarser(mask)` -> at mask: the convolution whose gradient `strided` is."""
    weight = dense_weight(kernel).transpose(0, 1)  # (Cin, Cout, dy, dx)
    out = F.conv_transpose2d(x * coarser(mask, padding), weight, stride=2)
    height, width = mask.shape[2:]
    out = out[..., padding:, padding:][..., :height, :width]
    return F.pad(out, (0, width - out.shape[3], 0, height - out.shape[2])) * mask


def norm_relu(x: Tensor, mask: Tensor, norm) -> Tensor:
    count = mask.sum()
    if norm.training and count > 1:
        mean = (x * mask).sum((0, 2, 3)) / count
        variance = ((x - mean[:, None, None]) ** 2 * mask).sum((0, 2, 3)) / count
    else:
        mean, variance = norm.running_mean, norm.running_var
    scale = norm.weight / (variance + 1e-5).sqrt()
    return (x * scale[:, None, None] + (norm.bias - mean * scale)[:, None, None]).relu() * mask


def res_block(x: Tensor, mask: Tensor, block) -> Tensor:
    kernel = getattr(block.shortcut, 'kernel', None)
    shortcut = x if kernel is None else F.conv2d(x, kernel.T[..., None, None])
    y = submanifold(norm_relu(x, mask, block.norm1), mask, block.conv1.kernel)
    return shortcut + submanifold(norm_relu(y, mask, block.norm2), mask, block.conv2.kernel)


def stage(x: Tensor, mask: Tensor, module) -> Tensor:
    for block in module.encode:
        x = res_block(x, mask, block)
    if module.coarser is None:
        return x
    inner = module.coarser
    y = strided(norm_relu(x, mask, inner.norm_down), mask, inner.down.kernel)
    y = norm_relu(stage(y, coarser(mask), inner.stage), coarser(mask), inner.norm_up)
    x = torch.cat((x, transposed(y, mask, inner.up.kernel)), 1)
    for block in module.decode:
        x = res_block(x, mask, block)
    return x


def extract(x: Tensor, mask: Tensor, extractor) -> Tensor:
    x = stage(submanifold(x, mask, extractor.stem.kernel), mask, extractor.stages)
    return norm_relu(x, mask, extractor.tail)
