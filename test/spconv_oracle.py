# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The extractor's evaluation written for spconv: an oracle with its own idea of sparsity."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def weight(kernel: Tensor) -> nn.Parameter:
    """(9, Cin, Cout) -> (Cout, dy, dx, Cin)."""
    _, cin, cout = kernel.shape
    return nn.Parameter(kernel.detach().view(3, 3, cin, cout).permute(3, 1, 0, 2).contiguous())


def layer(kind: str, kernel: Tensor, key: str, **options):
    import spconv.pytorch as spconv

    made = getattr(spconv, kind)(
        kernel.shape[1], kernel.shape[2], 3, bias=False, indice_key=key, **options
    )
    made.weight = weight(kernel)
    return made


def submanifold(x, conv, depth: int):
    return layer('SubMConv2d', conv.kernel, f'level{depth}')(x)


def norm_relu(x, norm):
    y = F.batch_norm(
        x.features, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5
    )
    return x.replace_feature(y.relu())


def res_block(x, block, depth: int):
    kernel = getattr(block.shortcut, 'kernel', None)
    shortcut = x.features if kernel is None else x.features @ kernel
    y = submanifold(norm_relu(x, block.norm1), block.conv1, depth)
    y = submanifold(norm_relu(y, block.norm2), block.conv2, depth)
    return y.replace_feature(shortcut + y.features)


def stage(x, module, depth: int):
    for block in module.encode:
        x = res_block(x, block, depth)
    if module.coarser is None:
        return x
    inner, key = module.coarser, f'down{depth}'
    y = layer('SparseConv2d', inner.down.kernel, key, stride=2)(norm_relu(x, inner.norm_down))
    y = norm_relu(stage(y, inner.stage, depth + 1), inner.norm_up)
    y = layer('SparseInverseConv2d', inner.up.kernel, key)(y)
    x = x.replace_feature(torch.cat((x.features, y.features), 1))
    for block in module.decode:
        x = res_block(x, block, depth)
    return x


@torch.no_grad()
def extract(x, extractor):
    return norm_relu(stage(submanifold(x, extractor.stem, 0), extractor.stages, 0), extractor.tail)
