# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution in plain torch: the definition of correct, and the default on CPU.

Neighbours are gathered in blocks that stay in the cache and multiplied at once. Any device, any float type, forward
and backward; under autocast, features and weights are cast like those of `conv2d`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.sparse.pairs import Pairs, Part

if TYPE_CHECKING:
    from sparse_seg_ros.sparse.level import Level
    from sparse_seg_ros.sparse.tensor import SparseTensor

BLOCK_BYTES = {  # of gathered features
    'cpu': 6 << 20,  # stays in the caches: measured with two cores of 1 MiB L2 and 32 MiB L3
    'cuda': 1 << 30,  # as few launches as memory allows
}
SMALLEST_BLOCK = 1024  # rows: fewer leave the matrix product waiting for its weights
ROUNDING = 256  # rows
ONEDNN_WIDTH = 8192  # columns above which a float32 product goes to MKL


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
        ctx.pairs, ctx.dtypes = pairs, (features.dtype, weight.dtype)
        padded, weight = pad(features, dtype), weight.to(dtype)
        ctx.save_for_backward(padded, weight)
        return _multiply(padded, weight, pairs)

    @staticmethod
    def backward(ctx, grad: Tensor):
        padded, weight = ctx.saved_tensors
        grads = _multiply_back(padded, weight, pad(grad, weight.dtype), ctx.pairs, ctx.needs_input_grad)
        return *(grad if grad is None else grad.to(dtype) for grad, dtype in zip(grads, ctx.dtypes)), None


def _compute_dtype(features: Tensor) -> torch.dtype:
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return features.dtype


def pad(features: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C) -> (round_up(N + 1), C): ends in rows of zeros, where missing neighbours are looked up."""
    return pad_to(features, round_up(len(features) + 1), dtype)


def pad_to(features: Tensor, rows: int, dtype: torch.dtype | None = None) -> Tensor:
    """(N, C) -> (rows, C), zero from row N on."""
    padded = features.new_empty((rows, features.shape[1]), dtype=dtype or features.dtype)
    padded[: len(features)] = features
    padded[len(features) :] = 0
    return padded


def round_up(rows: int) -> int:
    """Next multiple of 256: oneDNN compiles a kernel for each new shape, so there should be few shapes."""
    return max(1, -(-rows // ROUNDING)) * ROUNDING


def _multiply(padded: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
    """(> N, Cin), (9, Cin, Cout) -> (outputs, Cout)."""
    out = padded.new_empty((round_up(pairs.outputs), weight.shape[2]))
    for part in pairs.parts:
        matrix = weight[list(part.kernels)].flatten(0, 1)  # (K * Cin, Cout)
        for block in _blocks(padded, part):
            _put(out, block, matrix)
    return out[: pairs.outputs]


def _multiply_back(padded: Tensor, weight: Tensor, padded_grad: Tensor, pairs: Pairs, is_needed: tuple[bool, ...]):
    """Gather the outputs' gradient once per block of inputs: both gradients are products with it."""
    _, cin, cout = weight.shape
    grad = padded.new_empty((round_up(pairs.inputs), cin)) if is_needed[0] else None
    sums = weight.new_zeros((9, cin, cout), dtype=_sum_dtype(weight)) if is_needed[1] else None
    for part in pairs.adjoint_parts:
        kernels = list(part.kernels)
        matrix = weight[kernels].transpose(1, 2).flatten(0, 1)  # (K * Cout, Cin)
        for block in _blocks(padded_grad, part):
            if grad is not None:
                _put(grad, block, matrix)
            if sums is not None:
                product = _take(padded, block).t() @ block.gathered  # (Cin, K * Cout)
                sums[kernels] += product.view(cin, len(kernels), cout).transpose(0, 1)
    return None if grad is None else grad[: pairs.inputs], sums


def _sum_dtype(weight: Tensor) -> torch.dtype:
    """Sums over all pixels are kept in float32 or better."""
    return torch.promote_types(weight.dtype, torch.float32)


class _Block(NamedTuple):
    rows: slice | Tensor  # of the output
    gathered: Tensor  # (rows, K * C), valid until the next block


def _blocks(padded: Tensor, part: Part) -> Iterator[_Block]:
    """Gather the neighbours of some outputs after the other; the last block ends in rows of zeros."""
    count, kernels = part.table.shape
    channels = padded.shape[1]
    rows = min(_block_rows(padded, kernels * channels), round_up(count))
    buffer = padded.new_empty((rows * kernels, channels))
    for start in range(0, count, rows):
        neighbours = part.table[start : start + rows].flatten()
        used = round_up(len(neighbours) // kernels)
        torch.index_select(padded, 0, neighbours, out=buffer[: len(neighbours)])
        buffer[len(neighbours) : used * kernels] = 0
        outputs = slice(start, start + used) if part.rows is None else part.rows[start : start + rows]
        yield _Block(outputs, buffer[: used * kernels].view(used, kernels * channels))


def _block_rows(padded: Tensor, width: int) -> int:
    block_bytes = BLOCK_BYTES.get(padded.device.type, 1 << 30)
    return max(SMALLEST_BLOCK, round_up(block_bytes // (width * padded.element_size())))


def _take(padded: Tensor, block: _Block) -> Tensor:
    """Features at the block's rows, as many as it has gathered."""
    if isinstance(block.rows, slice):
        return padded[block.rows]
    return pad_to(padded[block.rows], len(block.gathered))


def _put(out: Tensor, block: _Block, matrix: Tensor):
    """Write gathered @ matrix to the block's rows."""
    if isinstance(block.rows, slice):
        _product(block.gathered, matrix, out=out[block.rows])
    else:
        out.index_copy_(0, block.rows, _product(block.gathered, matrix)[: len(block.rows)])


def _product(gathered: Tensor, matrix: Tensor, out: Tensor | None = None) -> Tensor:
    """(n, K), (K, Cout) -> (n, Cout), in float32 on CPU as a 1x1 convolution: oneDNN beats MKL by up to a third."""
    count, width = gathered.shape
    if gathered.device.type != 'cpu' or gathered.dtype != torch.float32 or width > ONEDNN_WIDTH:
        return torch.mm(gathered, matrix, out=out)
    image = gathered.view(1, count, 1, width).permute(0, 3, 1, 2)  # (1, K, n, 1), channels last
    product = F.conv2d(image, matrix.t().contiguous().view(-1, width, 1, 1)).permute(0, 2, 3, 1).view(count, -1)
    return product if out is None else out.copy_(product)
