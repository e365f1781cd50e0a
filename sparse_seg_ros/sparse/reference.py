# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution in plain torch: the definition of correct, and the backend on CPU.

Neighbours are gathered in blocks that stay in the cache, and multiplied at once. In full precision
on a CPU, submanifold convolutions do less work: narrow ones gather a third of the neighbours and
convolve along the rows of the image, wide ones use Winograd's filtering. It runs on any device, in
any float type, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.sparse import winograd
from sparse_seg_ros.sparse.kernel_map import KernelMap, KernelMapPart, RowRuns

BLOCK_BYTES = {  # of gathered features
    'cpu': 12 << 20,  # fastest of 3 to 24 MiB on two idle cores of 1 MiB L2, 32 MiB L3
    'cuda': 1 << 30,  # as few launches as memory allows
}
SMALLEST_BLOCK = 1024  # rows: fewer leave the matrix product waiting for its weights
SMALLEST_STEP = 256  # rows: from one size of a linear layer's input to the next
TILE_CHANNELS = 64  # from this number on, Winograd saves more than its transforms cost
ONEDNN_WIDTH = 8192  # columns above which a float32 product goes to MKL


def pad(features: Tensor, dtype: torch.dtype) -> Tensor:
    """
    (N, C) -> (> N, C): row N is zero, where missing neighbours are looked up.

    Without a copy where zeros follow in memory already, as after what `multiply` returns.
    """
    count = len(features)
    if features.is_cpu and features.dtype == dtype and has_room(features, count + 1):
        longer = lengthen(features, count + 1)
        if not longer[count].any():
            return longer
    return pad_to(features, round_up(count + 1), dtype)


def has_room(features: Tensor, rows: int) -> bool:
    """Tell whether so many rows from the first on lie in the memory of (N, C) features."""
    end = features.storage_offset() + rows * features.shape[1]
    return features.is_contiguous() \
        and end * features.element_size() <= features.untyped_storage().nbytes()


def lengthen(features: Tensor, rows: int) -> Tensor:
    """(N, C) -> (rows, C), without a copy: what follows in memory."""
    channels = features.shape[1]
    return features.as_strided((rows, channels), (channels, 1), features.storage_offset())


def rounded(features: Tensor) -> Tensor:
    """
    (N, C) -> (R, C): arbitrary from row N on, R one of few numbers; to run a linear layer on.

    oneDNN compiles a product for each number of rows, which takes ten times as long as the
    product. On other devices, and where gradients are wanted, the features as they are.
    """
    if not features.is_cpu or torch.is_grad_enabled():
        return features
    step = max(SMALLEST_STEP, 1 << max(0, len(features).bit_length() - 4))  # at least an eighth
    rows = -(-len(features) // step) * step
    return lengthen(features, rows) if has_room(features, rows) else pad_to(features, rows)


def pad_to(features: Tensor, rows: int, dtype: torch.dtype | None = None) -> Tensor:
    """(N, C) -> (rows, C), zero from row N on."""
    padded = features.new_empty((rows, features.shape[1]), dtype=dtype or features.dtype)
    padded[: len(features)] = features
    padded[len(features) :].zero_()
    return padded


def round_up(rows: int) -> int:
    """Next multiple of 64, of 256 from 2048 on: oneDNN compiles for each shape, so have few."""
    step = 64 if rows < 2048 else 256
    return max(1, -(-rows // step)) * step


def multiply(
    features: Tensor, weight: Tensor, kernel_map: KernelMap, shift: Tensor | None = None
) -> Tensor:
    """
    (N, Cin) of any type, (9, Cin, Cout) -> (outputs, Cout) of the weight's type.

    A shift (Cout,) is added, and negative values become zero, while they are in the cache.
    """
    padded = pad_to(features, round_up(len(features) + 1), weight.dtype) \
        if kernel_map.is_padded else pad(features, weight.dtype)
    out = weight.new_empty((round_up(kernel_map.outputs + 1), weight.shape[2]))
    can_save = kernel_map.runs is not None and padded.is_cpu and padded.element_size() >= 4
    if can_save and padded.shape[1] < TILE_CHANNELS:
        _multiply_runs(padded, weight, kernel_map.runs, shift, out[: kernel_map.outputs])
    elif can_save and winograd.pays(kernel_map.tiles):
        winograd.multiply(padded, weight, kernel_map.tiles, shift, out)
    else:
        _multiply_parts(padded, weight, kernel_map.parts, shift, out)
    out[kernel_map.outputs :].zero_()  # for `pad`
    return out[: kernel_map.outputs]


def _multiply_parts(
    padded: Tensor, weight: Tensor, parts: tuple[KernelMapPart, ...], shift: Tensor | None,
    out: Tensor
):
    """Gather and multiply: any convolution, any device, any type."""
    for part in parts:
        factor = _factor(part.pick(weight).flatten(0, 1))  # (K * Cin, Cout)
        for block in _blocks(padded, part):
            _put(out, block, factor, shift)


def _multiply_runs(
    padded: Tensor, weight: Tensor, runs: RowRuns, shift: Tensor | None, out: Tensor
):
    """(> N, Cin), (9, Cin, Cout) -> out (N, Cout): a 1x3 convolution over 3 * Cin channels."""
    cin, cout = weight.shape[1:]
    kernel = weight.view(3, 3, cin, cout).permute(3, 1, 2, 0).reshape(cout, 3 * cin, 1, 3)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    count = len(runs.table)
    rows = min(_block_rows(padded, 3 * cin), round_up(count + 2))
    buffer = padded.new_empty((rows * 3, cin))
    starts = range(0, count, rows - 2)  # blocks overlap by the two pixels at their ends
    cuts = torch.searchsorted(runs.active, torch.tensor(starts[1:], dtype=torch.int64) + 1)
    parts = zip(starts, runs.active.tensor_split(cuts), out.tensor_split(cuts))
    for start, active, part in parts:
        neighbours = runs.table[start : start + rows].flatten()
        used = round_up(len(neighbours) // 3)
        torch.index_select(padded, 0, neighbours, out=buffer[: len(neighbours)])
        buffer[len(neighbours) : used * 3].zero_()
        image = buffer[: used * 3].view(1, 1, used, 3 * cin).permute(0, 3, 1, 2)
        product = F.conv2d(image, kernel, shift, padding=(0, 1)).permute(0, 2, 3, 1)
        if shift is not None:
            product.relu_()
        torch.index_select(product.view(used, cout), 0, active - start, out=part)


def multiply_back(
    features: Tensor, weight: Tensor, grad: Tensor, kernel_map: KernelMap,
    needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """
    (outputs, Cout) gradient of `multiply` -> those of features and weight, None if not needed.

    The outputs' gradient is gathered once per block of inputs; both gradients multiply it.
    """
    _, cin, cout = weight.shape
    features, padded_grad = features.to(weight.dtype), pad(grad, weight.dtype)
    to_features = weight.new_empty((round_up(kernel_map.inputs), cin)) if needed[0] else None
    to_weight = torch.zeros_like(weight, dtype=_sum_dtype(weight)) if needed[1] else None
    for part in kernel_map.adjoint_parts:
        factor = _factor(part.pick(weight).transpose(1, 2).flatten(0, 1))  # (K * Cout, Cin)
        total = 0
        for block in _blocks(padded_grad, part):
            if needed[0]:
                _put(to_features, block, factor)
            if needed[1]:
                total += (_take(features, block).t() @ block.gathered).to(to_weight.dtype)
        if needed[1] and len(part.table):  # total is (Cin, K * Cout)
            to_weight[list(part.kernels)] = total.view(cin, -1, cout).transpose(0, 1)
    return None if to_features is None else to_features[: kernel_map.inputs], to_weight


def _sum_dtype(weight: Tensor) -> torch.dtype:
    """Sums over all pixels are kept in float32 or better."""
    return torch.promote_types(weight.dtype, torch.float32)


class _Block(NamedTuple):
    rows: slice | Tensor  # of the output
    gathered: Tensor  # (rows, K * C), valid until the next block


def _blocks(padded: Tensor, part: KernelMapPart) -> Iterator[_Block]:
    """Gather the neighbours of some outputs after the others; the last block ends in zeros."""
    count, kernels = part.table.shape
    channels = padded.shape[1]
    rows = min(_block_rows(padded, kernels * channels), round_up(count))
    buffer = padded.new_empty((rows * kernels, channels))
    for start in range(0, count, rows):
        neighbours = part.table[start : start + rows].flatten()
        used = round_up(len(neighbours) // kernels)
        torch.index_select(padded, 0, neighbours, out=buffer[: len(neighbours)])
        buffer[len(neighbours) : used * kernels].zero_()
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


def _put(out: Tensor, block: _Block, factor: Tensor, shift: Tensor | None = None):
    """Write what `_product` makes of a block to its rows."""
    if isinstance(block.rows, slice):
        _product(block.gathered, factor, shift, out=out[block.rows])
    else:
        product = _product(block.gathered, factor, shift)
        out.index_copy_(0, block.rows, product[: len(block.rows)])


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


def _product(
    gathered: Tensor, factor: Tensor, shift: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """(n, K) times a factor -> (n, Cout); with a shift (Cout,), relu of the product and that."""
    if factor.dim() == 2:
        product = torch.mm(gathered, factor, out=out) if shift is None else \
            torch.addmm(shift, gathered, factor, out=out)
    else:
        count, width = gathered.shape
        image = gathered.view(1, count, 1, width).permute(0, 3, 1, 2)  # (1, K, n, 1)
        product = F.conv2d(image, factor, shift).permute(0, 2, 3, 1).view(count, -1)
        product = product if out is None else out.copy_(product)
    return product if shift is None else product.relu_()
