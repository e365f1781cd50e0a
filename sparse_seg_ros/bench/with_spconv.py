# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""spconv as a rival: one convolution, and the whole extractor, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.bench.rival_extractors import RivalExtractor
from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.sparse.layers import NormReLU, Pointwise
from sparse_seg_ros.sparse.level import Level


def is_built_for(device: torch.device) -> bool:
    """Tell whether spconv can be imported, in a build for the device."""
    try:
        from spconv.cppconstants import CPU_ONLY_BUILD
    except ImportError:
        return False
    return CPU_ONLY_BUILD == (device.type == 'cpu')


def rival(precision: str, device: torch.device) -> tuple[str, torch.dtype]:
    """Return the name of spconv as a rival, and its type: it has no bf16, on a CPU fp32 alone."""
    if device.type == 'cuda' and precision == 'fp16':
        return 'spconv fp16', torch.float16
    return 'spconv fp32', torch.float32


def convolution(level: Level, kernel: Tensor) -> Callable:
    """(9, C, C) -> a call of the same convolution by spconv, with its tables ready."""
    import spconv.pytorch as spconv

    channels = kernel.shape[1]
    layer = spconv.SubMConv2d(channels, channels, 3, bias=False, indice_key='level')
    layer.weight.data = kernel.view(3, 3, channels, channels).permute(3, 1, 0, 2).contiguous()
    x = tensor_of(level, torch.randn(len(level), channels).to(kernel))
    return partial(run, layer, x, kernel.device.type)


def extractor(own: Extractor, pixels: Tensor, selected: Tensor) -> Callable:
    """Return a call of the same extractor by spconv, with new tables each time."""
    other = SpconvExtractor(own)
    return lambda: run(other, tensor_of(Level(selected), pixels), selected.device.type)


def tensor_of(level: Level, features: Tensor) -> Any:
    """(N, C) features of the sites of a level -> the same for spconv."""
    import spconv.pytorch as spconv

    batch, *size_hw = level.mask.shape
    return spconv.SparseConvTensor(features, level.sites.int().contiguous(), size_hw, batch)


def run(layer: Callable, x: Any, device_type: str) -> Any:
    """Call spconv; on a CPU with one thread, as it races on more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if device_type == 'cpu' else threads)
    try:
        return layer(x)
    finally:
        torch.set_num_threads(threads)


class SpconvExtractor(RivalExtractor):
    """SparseConvTensor (N, Cin) -> SparseConvTensor (N, planes[0]); its tables are its own."""

    def prepared(self, layer: nn.Module) -> Tensor:
        if isinstance(layer, Pointwise):
            return layer.kernel
        _, cin, cout = layer.kernel.shape
        return layer.kernel.view(3, 3, cin, cout).permute(3, 1, 0, 2).contiguous()

    def conv(self, x: Any, layer: nn.Module, depth: int) -> Any:
        return self.layer('SubMConv2d', layer, f'level{depth}')(x)

    def down(self, x: Any, layer: nn.Module, depth: int) -> Any:
        return self.layer('SparseConv2d', layer, f'down{depth}', stride=2)(x)

    def up(self, x: Any, layer: nn.Module, depth: int) -> Any:
        return self.layer('SparseInverseConv2d', layer, f'down{depth}')(x)

    def layer(self, kind: str, layer: nn.Module, key: str, **options: int) -> Any:
        """Return spconv's layer for one of ours, made at its first call."""
        made = self.kernels[id(layer)]
        if isinstance(made, Tensor):
            import spconv.pytorch as spconv

            weight = made
            made = getattr(spconv, kind)(weight.shape[3], weight.shape[0], 3, bias=False,
                                         indice_key=key, **options)
            made.weight = nn.Parameter(weight.detach(), requires_grad=False)
            self.kernels[id(layer)] = made
        return made

    def norm_relu(self, x: Any, norm: NormReLU) -> Any:
        return x.replace_feature(F.relu_(F.batch_norm(
            x.features, norm.running_mean, norm.running_var, norm.weight, norm.bias,
            eps=norm.eps)))

    def shift_relu(self, x: Any, shift: Tensor) -> Any:
        return x.replace_feature(F.relu_(x.features + shift))

    def add(self, x: Any, other: Any) -> Any:
        return other.replace_feature(x.features + other.features)

    def join(self, x: Any, other: Any) -> Any:
        return x.replace_feature(torch.cat((x.features, other.features), 1))

    def pointwise(self, x: Any, layer: Pointwise) -> Any:
        return x.replace_feature(x.features @ self.kernels[id(layer)])
