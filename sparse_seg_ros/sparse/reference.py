# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution in plain torch: the definition of correct, and the default on CPU.

Neighbours are gathered in blocks that stay in the cache and multiplied at once. Any device, any float type, forward
and backward; under autocast, features and weights are cast like those of `conv2d`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sparse_seg_ros.sparse.pairs import Pairs, Part

if TYPE_CHECKING:
    from sparse_seg_ros.sparse.level import Level
    from sparse_seg_ros.sparse.tensor import SparseTensor

BLOCK_BYTES = {  # of gathered features
    'cpu': 3 << 20,  # stays in the caches: measured best with two cores of 1 MiB L2 and a shared L3
    'cuda': 1 << 30,  # as few launches as memory allows
}


def conv(x: SparseTensor, weight: Tensor, stride: int = 1) -> SparseTensor:
    """(N, Cin) at level l, (9, Cin, Cout) -> (N, Cout) at l for stride 1, (M, Cout) at l + 1 for 2."""
    if stride not in (1, 2):
        raise ValueError(f'stride must be 1 or 2, got {stride}')
    level, pairs = (x.level, x.level.neighbours) if stride == 1 else (x.level.coarser, x.level.down)
    return x.at(level, _Convolution.apply(x.features, weight, pairs))


def inverse_conv(x: SparseTensor, weight: Tensor, like: Level) -> SparseTensor:
    """(M, Cin) at `like.coarser`, (9, Cin, Cout) -> (N, Cout) at `like`: transposed 3x3, stride 2."""
    if x.level is not like.coarser:
        raise ValueError('x must be at like.coarser, the level that conv(..., stride=2) went to')
    return x.at(like, _Convolution.apply(x.features, weight, like.down.adjoint))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
        dtype = _compute_dtype(features)
        padded = _with_zero_row(features, dtype)
        ctx.pairs, ctx.dtypes = pairs, (features.dtype, weight.dtype)
        weight = weight.to(dtype)
        ctx.save_for_backward(features if features.dtype == dtype else padded[:-1], weight)
        return _multiply(padded, weight, pairs.parts, pairs.outputs)

    @staticmethod
    def backward(ctx, grad: Tensor):
        features, weight = ctx.saved_tensors
        grad_features, grad_weight = _multiply_back(
            features, weight, _with_zero_row(grad, weight.dtype), ctx.pairs, ctx.needs_input_grad
        )
        if grad_features is not None:
            grad_features = grad_features.to(ctx.dtypes[0])
        if grad_weight is not None:
            grad_weight = grad_weight.to(ctx.dtypes[1])
        return grad_features, grad_weight, None


def _compute_dtype(features: Tensor) -> torch.dtype:
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return features.dtype


def _with_zero_row(features: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C) -> (N + 1, C): the row that stands for missing neighbours."""
    padded = features.new_empty((len(features) + 1, features.shape[1]), dtype=dtype)
    padded[:-1] = features
    padded[-1] = 0
    return padded


def _multiply(padded: Tensor, weight: Tensor, parts: tuple[Part, ...], outputs: int) -> Tensor:
    """(N + 1, Cin), (9, Cin, Cout) -> (outputs, Cout)."""
    out = padded.new_empty((outputs, weight.shape[2]))
    for part in parts:
        matrix = weight[list(part.kernels)].flatten(0, 1)  # (K * Cin, Cout)
        for start, stop, gathered in _gathered(padded, part.table):
            rows = slice(start, stop) if part.rows is None else part.rows[start:stop]
            _multiply_into(out, rows, gathered, matrix)
    return out


def _multiply_into(out: Tensor, rows: slice | Tensor, gathered: Tensor, matrix: Tensor):
    if isinstance(rows, slice):
        torch.mm(gathered, matrix, out=out[rows])
    else:
        out.index_copy_(0, rows, torch.mm(gathered, matrix))


def _multiply_back(features, weight, padded_grad, pairs: Pairs, needed):
    """Gather the outputs' gradient once per input block; both gradients are products with it."""
    cin, cout = weight.shape[1:]
    grad_features = torch.empty_like(features) if needed[0] else None
    grad_weight = torch.zeros(9, cin, cout, dtype=_sum_dtype(weight), device=weight.device) if needed[1] else None
    for part in pairs.adjoint_parts:
        kernels = list(part.kernels)
        matrix = weight[kernels].transpose(1, 2).flatten(0, 1)  # (K * Cout, Cin)
        total = weight.new_zeros((cin, len(kernels) * cout), dtype=_sum_dtype(weight))
        for start, stop, gathered in _gathered(padded_grad, part.table):
            rows = slice(start, stop) if part.rows is None else part.rows[start:stop]
            if needed[0]:
                _multiply_into(grad_features, rows, gathered, matrix)
            if needed[1]:
                total += torch.mm(features[rows].t(), gathered)
        if needed[1]:
            grad_weight[kernels] = total.view(cin, len(kernels), cout).transpose(0, 1)
    return grad_features, grad_weight


def _sum_dtype(weight: Tensor) -> torch.dtype:
    """Sums over all pixels are kept in float32 or better."""
    return torch.promote_types(weight.dtype, torch.float32)


def _gathered(padded: Tensor, table: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """(N + 1, C), (n, K) -> blocks (start, stop, (stop - start, K * C)); a block is valid until the next."""
    count, kernels = table.shape
    channels = padded.shape[1]
    row_bytes = kernels * channels * padded.element_size()
    rows = max(256, BLOCK_BYTES.get(padded.device.type, 1 << 30) // row_bytes)
    buffer = padded.new_empty((min(rows, count) * kernels, channels))
    for start in range(0, count, rows):
        stop = min(start + rows, count)
        block = buffer[: (stop - start) * kernels]
        torch.index_select(padded, 0, table[start:stop].flatten(), out=block)
        yield start, stop, block.view(stop - start, kernels * channels)
