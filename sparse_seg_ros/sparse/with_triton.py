# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution as one Triton kernel: neighbours are gathered on the way into the product.

Nothing of their size is written to memory, and a convolution is one launch per part, where the
reference has a dozen. Kernels are compiled once per pair of widths, whatever the number of pixels.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.pairs import Pairs, Part

BLOCK_ROWS = 128  # outputs of one program
WIDEST_BLOCK = 128  # most columns of one program
BLOCK_BYTES = 128  # of a row that are read at a time: one line of the cache
SMALLEST_DOT = 16  # rows and columns that a tensor core takes


def multiply(features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
    """(N, Cin), (9, Cin, Cout) -> (outputs, Cout)."""
    features = features.contiguous()
    out = features.new_empty((pairs.outputs, weight.shape[2]))
    for part in pairs.parts:
        if len(part.table):
            _launch(features, part.pick(weight).contiguous(), part, out)
    return out


def multiply_back(
    features: Tensor, weight: Tensor, grad: Tensor, pairs: Pairs, needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """(outputs, Cout) gradient of `multiply` -> those of features and weight, or None."""
    to_features = multiply(grad, weight.transpose(1, 2), pairs.adjoint) if needed[0] else None
    _, to_weight = reference.multiply_back(features, weight, grad, pairs, (False, needed[1]))
    return to_features, to_weight


def _launch(features: Tensor, weight: Tensor, part: Part, out: Tensor):
    kernels, cin, cout = weight.shape
    columns = min(WIDEST_BLOCK, _power_of_two(cout))
    channels = min(_power_of_two(cin), BLOCK_BYTES // features.element_size())
    count, has_rows = len(part.table), part.rows is not None
    grid = (triton.cdiv(count, BLOCK_ROWS) * triton.cdiv(cout, columns),)
    with torch.cuda.device_of(features):
        _gather_and_multiply[grid](
            features, weight, part.table, part.rows if has_rows else part.table, out,
            count, part.inputs, HAS_ROWS=has_rows, KERNELS=kernels, CIN=cin, COUT=cout,
            BLOCK_ROWS=BLOCK_ROWS, BLOCK_COLUMNS=columns, BLOCK_CHANNELS=channels,
            SUM=tl.float64 if features.dtype == torch.float64 else tl.float32,
            num_warps=8 if columns > 64 else 4, num_stages=3,
        )


def _power_of_two(width: int) -> int:
    return max(SMALLEST_DOT, triton.next_power_of_2(width))


@triton.jit(do_not_specialize=['count', 'inputs'])
def _gather_and_multiply(
    features, weight, table, rows, out, count, inputs, HAS_ROWS: tl.constexpr,  # noqa: N803
    KERNELS: tl.constexpr, CIN: tl.constexpr, COUT: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr, SUM: tl.constexpr,  # noqa: N803
):
    """One block of rows and columns of the output; neighbouring programs share the rows."""
    column_blocks: tl.constexpr = (COUT + BLOCK_COLUMNS - 1) // BLOCK_COLUMNS
    channel_blocks: tl.constexpr = (CIN + BLOCK_CHANNELS - 1) // BLOCK_CHANNELS
    row = tl.program_id(0) // column_blocks * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.program_id(0) % column_blocks * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    is_row, is_column = row < count, column < COUT
    total = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), SUM)
    for step in range(KERNELS * channel_blocks):
        kernel = step // channel_blocks
        channel = step % channel_blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
        is_channel = channel < CIN
        source = tl.load(table + row * KERNELS + kernel, is_row, inputs)
        gathered = tl.load(
            features + source.to(tl.int64)[:, None] * CIN + channel[None, :],
            (source < inputs)[:, None] & is_channel[None, :], 0.0)
        factor = tl.load(
            weight + (kernel * CIN + channel)[:, None] * COUT + column[None, :],
            is_channel[:, None] & is_column[None, :], 0.0)
        total = tl.dot(gathered, factor, total, input_precision='ieee', out_dtype=SUM)
    target = tl.load(rows + row, is_row, 0) if HAS_ROWS else row
    tl.store(out + target.to(tl.int64)[:, None] * COUT + column[None, :],
             total.to(out.dtype.element_ty), is_row[:, None] & is_column[None, :])
