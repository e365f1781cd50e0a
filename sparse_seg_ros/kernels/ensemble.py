# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The gated ensembler in one launch, of up to 32 classes: SparseRefine, section 3.3.

Plain torch writes what its four layers say of every pixel to memory, 64 values each, and reads it
again. Here only the two predictions are read, and their mixture is written.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.kernels.softmax import ERRORS, check_equal

__all__ = ['ERRORS', 'check', 'ensemble']
SITES = 32  # of one program; of more than 32 classes its registers would spill
TYPES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}
Layers = tuple[nn.Linear, nn.Linear]


def ensemble(coarse: Tensor, refined: Tensor, gate: Layers, fuse: Layers, log_floor: float,
             dtype: torch.dtype) -> Tensor:
    """
    (C, M) coarse, (C, k, M) refined logits -> (C, k, M) of a type in which products are taken.

    gate: of 2 outputs, for a softmax over what it sees as probabilities, or of 1, for a sigmoid
    over logits. log_floor: no logarithm of a probability counts as less in an entropy.
    """
    coarse, refined = coarse.contiguous(), refined.contiguous()
    classes, pixels, sites = refined.shape
    out = torch.empty_like(refined, dtype=dtype)
    weights = [value for layer in (*gate, *fuse) for value in (layer.weight, layer.bias)]
    if out.numel():
        with torch.cuda.device_of(coarse):
            _ensemble[(triton.cdiv(sites, SITES),)](
                coarse, refined, out, *weights, sites, log_floor,
                IS_SOFTMAX=gate[1].out_features == 2, PIXELS=pixels, CLASSES=classes,
                CLASS_BLOCK=max(16, triton.next_power_of_2(classes)),
                HIDDEN=gate[0].out_features, SITES=SITES, TYPE=TYPES[dtype])
    return out


def check(device: str) -> None:
    """Mix small predictions; RuntimeError where torch has another result."""
    classes, sites = 3, 5
    layers = [nn.Linear(*sides, device=device) for sides in ((8, 64), (64, 2), (3, 64), (64, 3))]
    with torch.no_grad():
        for layer in layers:
            for values in (layer.weight, layer.bias):
                steps = torch.arange(values.numel(), device=device)
                values.copy_((steps + 1.0).sin().view_as(values))
        logits = torch.arange(3.0 * classes * sites, device=device).cos().view(classes, 3, sites)
        coarse, refined, (first, second, fuse, again) = logits[:, 0], logits[:, 1:], layers
        both = torch.stack((coarse[:, None].expand_as(refined), refined))  # (2, C, k, M)
        log_p = both.log_softmax(1)
        described = torch.cat((log_p.exp(), -(log_p.exp() * log_p).sum(1, keepdim=True)), 1)
        weigh = second(F.relu(first(described.flatten(0, 1).movedim(0, -1)))).softmax(-1)
        mixed = (weigh.movedim(-1, 0)[:, None] * both).sum(0)
        want = again(F.relu(fuse(mixed.movedim(0, -1)))).movedim(-1, 0)
        got = ensemble(coarse, refined, (first, second), (fuse, again), -1e3, torch.float32)
    check_equal(got, want)


@triton.jit
def _describe(values, is_class, log_floor, IS_SOFTMAX: tl.constexpr):  # noqa: N803
    """(CLASS_BLOCK, SITES) logits -> what the gate sees of them, and their entropy (SITES,)."""
    shifted = tl.where(is_class, values, float('-inf'))
    shifted -= tl.max(shifted, 0)[None, :]
    powers = tl.exp(shifted)
    total = tl.sum(powers, 0)
    log_p = tl.maximum(tl.where(is_class, shifted - tl.log(total)[None, :], 0.0), log_floor)
    p = powers / total[None, :]
    return p if IS_SOFTMAX else values, -tl.sum(p * log_p, 0)


@triton.jit
def _matrix(weight, rows, columns, row_count, column_count, pitch):
    """Read (rows, columns) of a weight, zeros beyond its counts."""
    return tl.load(weight + rows[:, None] * pitch + columns[None, :],
                   (rows < row_count)[:, None] & (columns < column_count)[None, :], 0.0)


@triton.jit
def _product(weight, values, TYPE: tl.constexpr):  # noqa: N803
    """(a, b), (b, SITES) -> (a, SITES) float32."""
    return tl.dot(weight.to(TYPE), values.to(TYPE), input_precision='tf32x3')


@triton.jit(do_not_specialize=['sites'])
def _ensemble(
    coarse, refined, out, gate, gate_bias, weigh, weigh_bias, fuse, fuse_bias, again, again_bias,
    sites, log_floor, IS_SOFTMAX: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr, CLASSES: tl.constexpr, HIDDEN: tl.constexpr,  # noqa: N803
    CLASS_BLOCK: tl.constexpr, SITES: tl.constexpr, TYPE: tl.constexpr,  # noqa: N803
):
    """One block of sites, pixel after pixel of each."""
    site = tl.program_id(0) * SITES + tl.arange(0, SITES)
    unit, classes = tl.arange(0, HIDDEN), tl.arange(0, CLASS_BLOCK)
    is_class, width = (classes < CLASSES)[:, None], 2 * (CLASSES + 1)
    is_there = is_class & (site < sites)[None, :]
    low = tl.load(coarse + classes[:, None].to(tl.int64) * sites + site[None, :], is_there, 0.0)
    low = low.to(tl.float32)
    sees, entropy = _describe(low, is_class, log_floor, IS_SOFTMAX)
    of_low = _product(_matrix(gate, unit, classes, HIDDEN, CLASSES, width), sees, TYPE)
    of_low += tl.load(gate + unit * width + CLASSES)[:, None] * entropy[None, :]
    of_low += tl.load(gate_bias + unit)[:, None]
    gate += CLASSES + 1  # the rest of each row is for the refined prediction
    for pixel in range(PIXELS):
        place = (classes[:, None].to(tl.int64) * PIXELS + pixel) * sites + site[None, :]
        high = tl.load(refined + place, is_there, 0.0).to(tl.float32)
        sees, entropy = _describe(high, is_class, log_floor, IS_SOFTMAX)
        hidden = _product(_matrix(gate, unit, classes, HIDDEN, CLASSES, width), sees, TYPE)
        hidden += tl.load(gate + unit * width + CLASSES)[:, None] * entropy[None, :] + of_low
        hidden = tl.where(hidden < 0.0, 0.0, hidden)  # keeps what is not a number
        gated = tl.sum(tl.load(weigh + unit)[:, None] * hidden, 0) + tl.load(weigh_bias)
        if IS_SOFTMAX:
            gated -= tl.sum(tl.load(weigh + HIDDEN + unit)[:, None] * hidden, 0)
            gated -= tl.load(weigh_bias + 1)
        mixed = low + (high - low) / (1.0 + tl.exp(gated))[None, :]
        hidden = _product(_matrix(fuse, unit, classes, HIDDEN, CLASSES, CLASSES), mixed, TYPE)
        hidden += tl.load(fuse_bias + unit)[:, None]
        hidden = tl.where(hidden < 0.0, 0.0, hidden)
        fused = _product(_matrix(again, classes, unit, CLASSES, HIDDEN, HIDDEN), hidden, TYPE)
        fused += tl.load(again_bias + classes, classes < CLASSES, 0.0)[:, None]
        tl.store(out + place, fused.to(out.dtype.element_ty), is_there)
