# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution by Triton: neighbours are gathered on the way into the product.

The gathered neighbours are never written to memory, and a convolution is one launch per part,
where the reference needs a dozen. A norm before it and a residual after it join the launch.
Kernels are compiled once per pair of widths, for any number of pixels. Sums are kept in float32,
and have the same order in every run.
"""

from __future__ import annotations

from functools import cache, partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from sparse_seg_ros.kernels.softmax import ERRORS
from sparse_seg_ros.sparse.convolution import Extras
from sparse_seg_ros.sparse.kernel_map import KernelMap, KernelMapPart
from sparse_seg_ros.sparse.tuning import Launch, Shape, launch_of, power_of_two, tune
from sparse_seg_ros.timing import interleaved

__all__ = ['ERRORS', 'FUSES', 'multiply', 'multiply_back', 'tune_launch']
FUSES = True  # `multiply` takes Extras
WEIGHT_ROWS = 64  # outputs read at a time for the gradient of a weight
WEIGHT_BLOCK = 64  # most rows and columns of it in one program
CHUNK_ROWS = 4096  # outputs that one program sums; the chunks' sums are added up after


def multiply(
    features: Tensor, weight: Tensor, kernel_map: KernelMap, shift: Tensor | None = None,
    extras: Extras = Extras()  # noqa: B008 frozen
) -> Tensor:
    """
    (N, Cin) of any type, (9, Cin, Cout) -> (outputs, Cout) of the weight's type.

    A shift (Cout,) is added, and negative values become zero. Before that a residual is added.
    """
    features = features.to(weight.dtype).contiguous()
    out = features.new_empty((kernel_map.outputs, weight.shape[2]))
    for part in kernel_map.parts:
        if len(part.table):
            picked = part.pick(weight).contiguous()
            shape = Shape(*picked.shape, weight.dtype)
            launch(features, picked, part, shift, extras, out,
                   launch_of(shape, gpu_of(features.device)))
    return out


def multiply_back(
    features: Tensor, weight: Tensor, grad: Tensor, kernel_map: KernelMap,
    needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """(outputs, Cout) gradient of `multiply` -> those of features and weight, or None."""
    to_features = multiply(grad, weight.transpose(1, 2), kernel_map.adjoint) if needed[0] else None
    return to_features, _multiply_weight(features, weight, grad, kernel_map) if needed[1] else None


def _multiply_weight(
    features: Tensor, weight: Tensor, grad: Tensor, kernel_map: KernelMap
) -> Tensor:
    """(N, Cin), (outputs, Cout) gradient -> (9, Cin, Cout)."""
    features, grad = (given.to(weight.dtype).contiguous() for given in (features, grad))
    total = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
    for part in kernel_map.parts:
        if len(part.table):
            sums = features.new_empty(
                (triton.cdiv(len(part.table), CHUNK_ROWS), len(part.kernels), *weight.shape[1:]),
                dtype=total.dtype)
            _launch_weight(features, grad, part, sums)
            total[list(part.kernels)] = sums.sum(0)
    return total


def launch(
    features: Tensor, weight: Tensor, part: KernelMapPart, shift: Tensor | None, extras: Extras,
    out: Tensor, how: Launch
):
    """Multiply one part of a kernel map; (K, Cin, Cout) weight of its kernels."""
    kernels, cin, cout = weight.shape
    count, norm, residual = len(part.table), extras.norm, extras.residual
    grid = (triton.cdiv(count, how.rows) * triton.cdiv(cout, how.columns),)
    with torch.cuda.device_of(features):
        _gather_and_multiply[grid](
            features, weight, part.table, part.table if part.rows is None else part.rows,
            *(weight if norm is None else given.contiguous() for given in norm or (None, None)),
            weight if shift is None else shift,
            weight if residual is None else residual.contiguous(), out,
            part.table if part.active is None else part.active, count, part.inputs,
            HAS_ROWS=part.rows is not None, HAS_ACTIVE=part.active is not None,
            HAS_NORM=norm is not None,
            HAS_SHIFT=shift is not None, HAS_RESIDUAL=residual is not None, KERNELS=kernels,
            CIN=cin, COUT=cout, BLOCK_ROWS=how.rows, BLOCK_COLUMNS=how.columns,
            BLOCK_CHANNELS=how.channels, SUM=_sum_of(features), num_warps=how.warps,
            num_stages=how.stages,
        )


def tune_launch(features: Tensor, weight: Tensor, part: KernelMapPart, gpu: str,
                repeats: int = 5) -> Launch:
    """
    (N, Cin), (9, Cin, Cout), the part of a submanifold kernel map -> its fastest launch, stored.

    It is timed with all extras: what fits a GPU with them fits it without.
    """
    out, scale = features.new_zeros((len(part.table), weight.shape[2])), weight[0, :, 0]
    extras = Extras((scale, scale), torch.zeros_like(out))

    def seconds_of(how: Launch) -> float:
        call = partial(launch, features, weight, part, weight[0, 0], extras, out, how)
        return interleaved({'launch': call}, repeats, device=features.device)['launch']

    return tune(Shape(*weight.shape, weight.dtype), gpu, seconds_of, ERRORS)


@cache
def gpu_of(device: torch.device) -> str | None:
    """Return what tuned launches hold for: GPU, compute capability, Triton; None on a CPU."""
    if device.type != 'cuda':
        return None
    major, minor = torch.cuda.get_device_capability(device)
    return f'{torch.cuda.get_device_name(device)}, {major}.{minor}, triton {triton.__version__}'


def _launch_weight(features: Tensor, grad: Tensor, part: KernelMapPart, sums: Tensor):
    chunks, kernels, cin, cout = sums.shape
    high, wide = (min(WEIGHT_BLOCK, power_of_two(width)) for width in (cin, cout))
    has_rows = part.rows is not None
    grid = (kernels * triton.cdiv(cin, high) * triton.cdiv(cout, wide), chunks)
    with torch.cuda.device_of(features):
        _sum_products[grid](
            features, grad, part.table, part.rows if has_rows else part.table, sums,
            len(part.table), part.inputs, HAS_ROWS=has_rows, KERNELS=kernels, CIN=cin, COUT=cout,
            CHUNK_ROWS=CHUNK_ROWS, BLOCK_ROWS=WEIGHT_ROWS, BLOCK_CIN=high, BLOCK_COUT=wide,
            SUM=_sum_of(features), num_warps=4, num_stages=3,
        )


def _sum_of(features: Tensor) -> tl.dtype:
    return tl.float64 if features.dtype == torch.float64 else tl.float32


@triton.jit
def _norm_relu(values, scale, bias, is_channel, is_missing, SUM: tl.constexpr):  # noqa: N803
    """relu(scale * values + bias) of rows of channels; what is missing stays zero."""
    normed = values.to(SUM) * tl.load(scale, is_channel, 0.0)[None, :].to(SUM)
    normed += tl.load(bias, is_channel, 0.0)[None, :].to(SUM)
    return tl.where((normed < 0.0) | is_missing, 0.0, normed)


@triton.jit(do_not_specialize=['count', 'inputs', 'active'])
def _gather_and_multiply(
    features, weight, table, rows, scale, bias, shift, residual, out, active, count, inputs,
    HAS_ROWS: tl.constexpr, HAS_ACTIVE: tl.constexpr, HAS_NORM: tl.constexpr,  # noqa: N803
    HAS_SHIFT: tl.constexpr, HAS_RESIDUAL: tl.constexpr,  # noqa: N803
    KERNELS: tl.constexpr, CIN: tl.constexpr, COUT: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr, SUM: tl.constexpr,  # noqa: N803
):
    """One block of rows and columns of the output; neighbouring programs share the rows."""
    column_blocks: tl.constexpr = (COUT + BLOCK_COLUMNS - 1) // BLOCK_COLUMNS
    channel_blocks: tl.constexpr = (CIN + BLOCK_CHANNELS - 1) // BLOCK_CHANNELS
    first = tl.program_id(0) // column_blocks * BLOCK_ROWS
    if HAS_ACTIVE:
        count = tl.load(active)  # of the rows that are read
    if first >= count:
        return
    row = first + tl.arange(0, BLOCK_ROWS)
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
        if HAS_NORM:
            gathered = _norm_relu(gathered, scale + channel, bias + channel, is_channel,
                                  (source >= inputs)[:, None], SUM).to(weight.dtype.element_ty)
        factor = tl.load(
            weight + (kernel * CIN + channel)[:, None] * COUT + column[None, :],
            is_channel[:, None] & is_column[None, :], 0.0)
        total = tl.dot(gathered, factor, total, input_precision='ieee', out_dtype=SUM)
    target = tl.load(rows + row, is_row, 0) if HAS_ROWS else row
    place = target.to(tl.int64)[:, None] * COUT + column[None, :]
    is_place = is_row[:, None] & is_column[None, :]
    if HAS_SHIFT:
        total += tl.load(shift + column, is_column, 0.0)[None, :].to(SUM)
    if HAS_RESIDUAL:
        total += tl.load(residual + place, is_place, 0.0).to(SUM)
    if HAS_SHIFT:
        total = tl.where(total < 0.0, 0.0, total)  # keeps what is not a number
    tl.store(out + place, total.to(out.dtype.element_ty), is_place)


@triton.jit(do_not_specialize=['count', 'inputs'])
def _sum_products(
    features, grad, table, rows, sums, count, inputs, HAS_ROWS: tl.constexpr,  # noqa: N803
    KERNELS: tl.constexpr, CIN: tl.constexpr, COUT: tl.constexpr,  # noqa: N803
    CHUNK_ROWS: tl.constexpr, BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CIN: tl.constexpr, BLOCK_COUT: tl.constexpr, SUM: tl.constexpr,  # noqa: N803
):
    """One block of one kernel's weight, summed over one chunk of the outputs."""
    cin_blocks: tl.constexpr = (CIN + BLOCK_CIN - 1) // BLOCK_CIN
    cout_blocks: tl.constexpr = (COUT + BLOCK_COUT - 1) // BLOCK_COUT
    kernel = tl.program_id(0) // (cin_blocks * cout_blocks)
    cin = tl.program_id(0) // cout_blocks % cin_blocks * BLOCK_CIN + tl.arange(0, BLOCK_CIN)
    cout = tl.program_id(0) % cout_blocks * BLOCK_COUT + tl.arange(0, BLOCK_COUT)
    is_cin, is_cout, chunk = cin < CIN, cout < COUT, tl.program_id(1)
    total = tl.zeros((BLOCK_CIN, BLOCK_COUT), SUM)
    first = chunk * CHUNK_ROWS
    for start in range(first, tl.minimum(first + CHUNK_ROWS, count), BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        is_row = row < count
        source = tl.load(table + row * KERNELS + kernel, is_row, inputs)
        target = tl.load(rows + row, is_row, 0) if HAS_ROWS else row
        given = tl.load(
            features + source.to(tl.int64)[None, :] * CIN + cin[:, None],
            (source < inputs)[None, :] & is_cin[:, None], 0.0)
        wanted = tl.load(
            grad + target.to(tl.int64)[:, None] * COUT + cout[None, :],
            is_row[:, None] & is_cout[None, :], 0.0)
        total = tl.dot(given, wanted, total, input_precision='ieee', out_dtype=SUM)
    tl.store(sums + ((chunk * KERNELS + kernel) * CIN + cin)[:, None] * COUT + cout[None, :],
             total, is_cin[:, None] & is_cout[None, :])
