# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution in plain torch: the definition of correct, and the default on CPU.

Neighbours are gathered in blocks that stay in the cache and multiplied at once. Any device, any
float type, forward and backward; under autocast, features and weights are cast like those of
`conv2d`.
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
    'cpu': 12 << 20,  # fastest of 3 to 24 MiB on two idle cores of 1 MiB L2, 32 MiB L3
    'cuda': 1 << 30,  # as few launches as memory allows
}
SMALLEST_BLOCK = 1024  # rows: fewer leave the matrix product waiting for its weights
ONEDNN_WIDTH = 8192  # columns above which a float32 product goes to MKL


def conv(x: SparseTensor, weight: Tensor, stride: int = 1) -> SparseTensor:
    """(N, Cin), (9, Cin, Cout) -> (N, Cout) at the same level, or (M, Cout) at the coarser one."""
    if stride not in (1, 2):
        raise ValueError(f'stride must be 1 or 2, got {stride}')
    level, pairs = (
        (x.level, x.level.neighbours) if stride == 1 else (x.level.coarser, x.level.down)
    )
    return x.at(level, _Convolution.apply(x.features, weight, pairs))


def inverse_conv(x: SparseTensor, weight: Tensor, like: Level) -> SparseTensor:
    """(M, Cin) at `like.coarser`, (9, Cin, Cout) -> (N, Cout) at `like`: transposed, stride 2."""
    if x.level is not like.coarser:
        raise ValueError('x must be at like.coarser, the level that conv(..., stride=2) went to')
    return x.at(like, _Convolution.apply(x.features, weight, like.down.adjoint))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
        dtype = _compute_dtype(features)
        ctx.pairs, ctx.dtypes = pairs, (features.dtype, weight.dtype)
        padded, weight = pad(features, dtype), weight.to(dtype)
        ctx.save_for_backward(features if features.dtype == dtype else padded, weight)
        return _multiply(padded, weight, pairs)

    @staticmethod
    def backward(ctx, grad: Tensor):
        features, weight = ctx.saved_tensors
        padded_grad = pad(grad, weight.dtype)
        grads = _multiply_back(features, weight, padded_grad, ctx.pairs, ctx.needs_input_grad)
        return *(g if g is None else g.to(dtype) for g, dtype in zip(grads, ctx.dtypes)), None


def _compute_dtype(features: Tensor) -> torch.dtype:
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return features.dtype


def pad(features: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C) -> (round_up(N + 1), C): ends in zeros, where missing neighbours are looked up."""
    return pad_to(features, round_up(len(features) + 1), dtype)


def pad_to(features: Tensor, rows: int, dtype: torch.dtype | None = None) -> Tensor:
    """(N, C) -> (rows, C), zero from row N on."""
    padded = features.new_empty((rows, features.shape[1]), dtype=dtype or features.dtype)
    padded[: len(features)] = features
    padded[len(features) :] = 0
    return padded


def round_up(rows: int) -> int:
    """Next multiple of 64, of 256 from 2048 on: oneDNN compiles for each shape, so have few."""
    step = 64 if rows < 2048 else 256
    return max(1, -(-rows // step)) * step


def _multiply(padded: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
    """(> N, Cin), (9, Cin, Cout) -> (outputs, Cout)."""
    out = padded.new_empty((round_up(pairs.outputs), weight.shape[2]))
    for part in pairs.parts:
        factor = _factor(_pick(weight, part.kernels).flatten(0, 1))  # (K * Cin, Cout)
        for block in _blocks(padded, part):
            _put(out, block, factor)
    return out[: pairs.outputs]


def _multiply_back(
    features: Tensor, weight: Tensor, padded_grad: Tensor, pairs: Pairs, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """Gather the outputs' gradient once per block of inputs; both gradients multiply it."""
    _, cin, cout = weight.shape
    grad = weight.new_empty((round_up(pairs.inputs), cin)) if needed[0] else None
    grad_weight = torch.zeros_like(weight, dtype=_sum_dtype(weight)) if needed[1] else None
    for part in pairs.adjoint_parts:
        picked = _pick(weight, part.kernels)
        factor = _factor(picked.transpose(1, 2).flatten(0, 1))  # (K * Cout, Cin)
        total = 0
        for block in _blocks(padded_grad, part):
            if needed[0]:
                _put(grad, block, factor)
            if needed[1]:
                total += (_take(features, block).t() @ block.gathered).to(grad_weight.dtype)
        if needed[1] and len(part.table):  # total is (Cin, K * Cout)
            grad_weight[list(part.kernels)] = total.view(cin, -1, cout).transpose(0, 1)
    return None if grad is None else grad[: pairs.inputs], grad_weight


def _pick(weight: Tensor, kernels: tuple[int, ...]) -> Tensor:
    """(9, Cin, Cout) -> (K, Cin, Cout), without a copy where all nine are wanted in order."""
    return weight if kernels == tuple(range(9)) else weight[list(kernels)]


def _sum_dtype(weight: Tensor) -> torch.dtype:
    """Sums over all pixels are kept in float32 or better."""
    return torch.promote_types(weight.dtype, torch.float32)


class _Block(NamedTuple):
    rows: slice | Tensor  # of the output
    gathered: Tensor  # (rows, K * C), valid until the next block


def _blocks(padded: Tensor, part: Part) -> Iterator[_Block]:
    """Gather the neighbours of some outputs after the others; the last block ends in zeros."""
    count, kernels = part.table.shape
    channels = padded.shape[1]
    rows = min(_block_rows(padded, kernels * channels), round_up(count))
    buffer = padded.new_empty((rows * kernels, channels))
    for start in range(0, count, rows):
        neighbours = part.table[start : start + rows].flatten()
        used = round_up(len(neighbours) // kernels)
        torch.index_select(padded, 0, neighbours, out=buffer[: len(neighbours)])
        buffer[len(neighbours) : used * kernels] = 0
        outputs = (
            slice(start, start + used) if part.rows is None else part.rows[start : start + rows]
        )
        yield _Block(outputs, buffer[: used * kernels].view(used, kernels * channels))


def _block_rows(padded: Tensor, width: int) -> int:
    block_bytes = BLOCK_BYTES.get(padded.device.type, 1 << 30)
    return max(SMALLEST_BLOCK, round_up(block_bytes // (width * padded.element_size())))


def _take(features: Tensor, block: _Block) -> Tensor:
    """Features at the block's rows, then zeros: as many rows as it has gathered."""
    taken, count = features[block.rows], len(block.gathered)
    return taken if len(taken) == count else pad_to(taken, count)


def _put(out: Tensor, block: _Block, factor: Tensor):
    """Write gathered @ factor to the block's rows."""
    if isinstance(block.rows, slice):
        _product(block.gathered, factor, out=out[block.rows])
    else:
        out.index_copy_(0, block.rows, _product(block.gathered, factor)[: len(block.rows)])


def _factor(matrix: Tensor) -> Tensor:
    """
    (K, Cout) -> a right-hand side of `_product`, laid out once for all blocks.

    Float32 on CPU goes to oneDNN as a 1x1 convolution, (Cout, K, 1, 1): it beats MKL by up to a
    third, but for very wide matrices, which it lays out anew for each block.
    """
    width = len(matrix)
    if matrix.device.type != 'cpu' or matrix.dtype != torch.float32 or width > ONEDNN_WIDTH:
        return matrix
    return matrix.t().contiguous().view(-1, width, 1, 1)


def _product(gathered: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """(n, K) times a factor -> (n, Cout)."""
    if factor.dim() == 2:
        return torch.mm(gathered, factor, out=out)
    count, width = gathered.shape
    image = gathered.view(1, count, 1, width).permute(0, 3, 1, 2)  # (1, K, n, 1), channels last
    product = F.conv2d(image, factor).permute(0, 2, 3, 1).view(count, -1)
    return product if out is None else out.copy_(product)
