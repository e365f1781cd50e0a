# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse 3x3 convolutions of a tensor by its backend, forward and backward.

A backend is a module of two functions, `multiply` and `multiply_back`, which compute in the
weight's type. An optional backend also names the ERRORS that it raises, and says whether it FUSES:
whether its `multiply` takes Extras. Under autocast, features and weights are cast like those of
`conv2d`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from sparse_seg_ros.sparse.kernel_map import KernelMap
    from sparse_seg_ros.sparse.level import Level
    from sparse_seg_ros.sparse.tensor import SparseTensor


@dataclass(frozen=True)
class Extras:
    """
    What joins a convolution in one launch.

    norm: scale and bias (Cin,); the features become relu(scale * features + bias) first, and
    missing ones stay zero. residual: (outputs, Cout), added before the activation.
    """

    norm: tuple[Tensor, Tensor] | None = None
    residual: Tensor | None = None


def conv(x: SparseTensor, weight: Tensor, stride: int = 1) -> SparseTensor:
    """(N, Cin), (9, Cin, Cout) -> (N, Cout) at the same level, or (M, Cout) at the coarser one."""
    level, kernel_map = _reach(x.level, stride)
    return x.at(level, _Convolution.apply(x.features, weight, kernel_map, x.backend))


def inverse_conv(x: SparseTensor, weight: Tensor, like: Level) -> SparseTensor:
    """(M, Cin) at `like.coarser`, (9, Cin, Cout) -> (N, Cout) at `like`: transposed, stride 2."""
    if x.level is not like.coarser:
        raise ValueError('x must be at like.coarser, the level that conv(..., stride=2) went to')
    return x.at(like, _Convolution.apply(x.features, weight, like.down.adjoint, x.backend))


def conv_shift_relu(x: SparseTensor, weight: Tensor, shift: Tensor,
                    stride: int = 1) -> SparseTensor:
    """(N, Cin), (9, Cin, Cout), (Cout,) -> (N or M, Cout) relu(conv(x) + shift); no gradient."""
    level, kernel_map = _reach(x.level, stride)
    dtype = _compute_dtype(x.features)
    return x.at(level, x.backend.multiply(
        x.features, weight.to(dtype), kernel_map, shift.to(dtype)))


def norm_conv_shift_relu(x: SparseTensor, norm: tuple[Tensor, Tensor], weight: Tensor,
                         shift: Tensor) -> SparseTensor:
    """
    (N, Cin), scale and bias (Cin,), (9, Cin, Cout), (Cout,) -> (N, Cout), not negative.

    relu(conv(relu(scale * x + bias)) + shift), without a gradient, by a backend that FUSES.
    """
    dtype = _compute_dtype(x.features)
    return x.with_features(x.backend.multiply(
        x.features, weight.to(dtype), x.level.neighbours, shift.to(dtype), Extras(norm=norm)))


def conv_add(x: SparseTensor, weight: Tensor, residual: Tensor,
             shift: Tensor | None = None) -> SparseTensor:
    """
    (N, Cin), (9, Cin, Cout), (N, Cout) -> (N, Cout): conv(x) + residual, without a gradient.

    With a shift (Cout,) that is added, too, and negative values become zero.
    """
    dtype = _compute_dtype(x.features)
    weight, pairs = weight.to(dtype), x.level.neighbours
    shift = None if shift is None else shift.to(dtype)
    if fuses(x.backend):
        return x.with_features(x.backend.multiply(
            x.features, weight, pairs, shift, Extras(residual=residual)))
    features = x.backend.multiply(x.features, weight, pairs)
    return x.with_features(features + residual if shift is None
                           else F.relu(features + shift + residual))


def fuses(backend: ModuleType) -> bool:
    """Tell whether a backend takes Extras."""
    return getattr(backend, 'FUSES', False)


def _reach(level: Level, stride: int) -> tuple[Level, KernelMap]:
    """Level of the inputs -> that of the outputs, and how they meet."""
    if stride not in (1, 2):
        raise ValueError(f'stride must be 1 or 2, got {stride}')
    return (level, level.neighbours) if stride == 1 else (level.coarser, level.down)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, kernel_map: KernelMap, backend: ModuleType):
        weight, ctx.dtypes = weight.to(_compute_dtype(features)), (features.dtype, weight.dtype)
        ctx.kernel_map, ctx.backend = kernel_map, backend
        ctx.save_for_backward(features, weight)
        return backend.multiply(features, weight, kernel_map)

    @staticmethod
    def backward(ctx, grad: Tensor):
        grads = ctx.backend.multiply_back(
            *ctx.saved_tensors, grad, ctx.kernel_map, ctx.needs_input_grad[:2])
        return *(g if g is None else g.to(dtype) for g, dtype in zip(grads, ctx.dtypes)), \
            None, None


def _compute_dtype(features: Tensor) -> torch.dtype:
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return features.dtype
