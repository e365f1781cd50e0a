# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Entropy of the logits, and the score from which on a budget reaches.

The k-th highest of float32 scores is found exactly, without sorting: their bits, in the order of
the numbers, are counted by their upper half, then those in the bin of the k-th by their lower one.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sparse_seg_ros.kernels.softmax import ERRORS, check_equal, read_tile, tile_of

__all__ = ['ERRORS', 'check', 'entropy_map', 'kth_highest']
BINS = 1 << 16  # of each half of a number
COUNTED = 1024  # scores that one program counts
CHUNK = 4096  # bins that one program adds up at a time


def entropy_map(logits: Tensor, log_floor: float = -math.inf) -> Tensor:
    """
    (B, C, h, w) logits -> (B, h, w) float32 entropy in nats.

    log_floor: no logarithm of a probability counts as less.
    """
    logits = logits.contiguous()
    batch, classes, height, width = logits.shape
    scores = torch.empty((batch, height, width), dtype=torch.float32, device=logits.device)
    tile = tile_of(classes)
    if scores.numel():
        with torch.cuda.device_of(logits):
            _measure[(triton.cdiv(height * width, tile['BLOCK']), batch)](
                logits, scores, height * width, log_floor, **tile)
    return scores


def kth_highest(scores: Tensor, count: int) -> Tensor:
    """(B, n) float32 scores -> (B, 1) the `count`-th highest of each image, count from 1 to n."""
    scores = scores.contiguous()
    batch, places = scores.shape
    if not 1 <= count <= places:
        raise ValueError(f'count must be from 1 to {places}, got {count}')
    rank = torch.full((batch,), count, dtype=torch.int32, device=scores.device)
    upper = torch.empty_like(rank)
    threshold = torch.empty((batch, 1), dtype=torch.float32, device=scores.device)
    with torch.cuda.device_of(scores):
        for is_lower in (False, True):
            histogram = torch.zeros((batch, BINS), dtype=torch.int32, device=scores.device)
            _count[(triton.cdiv(places, COUNTED), batch)](
                scores, histogram, upper, places, IS_LOWER=is_lower, BINS=BINS, BLOCK=COUNTED)
            _find[(batch,)](histogram, rank, upper, threshold, IS_LOWER=is_lower, BINS=BINS,
                            CHUNK=CHUNK)
    return threshold


def check(device: str) -> None:
    """Score small logits; RuntimeError where torch has another result."""
    logits = torch.linspace(-3, 3, 2 * 5 * 21, device=device).sin().view(2, 5, 3, 7) * 4
    log_p = logits.log_softmax(1)
    scores = entropy_map(logits)
    check_equal(scores, -(log_p.exp() * log_p).sum(1))
    ordered = scores.flatten(1).sort(1, descending=True).values
    check_equal(kth_highest(scores.flatten(1), 4), ordered[:, 3:4])


@triton.jit
def _in_order(values):
    """float32 -> int32 of the same order."""
    bits = values.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _upper_half(values, BINS: tl.constexpr):  # noqa: N803
    return (_in_order(values) >> 16) + BINS // 2


@triton.jit
def _measure(logits, scores, places, log_floor, CLASSES: tl.constexpr,  # noqa: N803
             CLASS_BLOCK: tl.constexpr, BLOCK: tl.constexpr):  # noqa: N803
    """Entropy of one block of pixels."""
    image, classes = tl.program_id(1).to(tl.int64), tl.arange(0, CLASS_BLOCK)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_place = place < places
    values = tl.load(logits + (image * CLASSES + classes)[:, None] * places + place[None, :],
                     (classes < CLASSES)[:, None] & is_place[None, :], 0.0)
    _, _, entropy = read_tile(values, classes, log_floor, CLASSES)
    tl.store(scores + image * places + place, entropy, is_place)


@triton.jit
def _count(scores, histogram, upper, places, IS_LOWER: tl.constexpr,  # noqa: N803
           BINS: tl.constexpr, BLOCK: tl.constexpr):  # noqa: N803
    """Count one block of scores by the upper half, or by the lower one those of one upper."""
    image = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_counted = place < places
    value = tl.load(scores + image * places + place, is_counted, 0.0)
    half = _upper_half(value, BINS)
    if IS_LOWER:
        is_counted = is_counted & (half == tl.load(upper + image))
        half = _in_order(value) & (BINS - 1)
    tl.atomic_add(histogram + image * BINS + half, 1, is_counted, sem='relaxed')


@triton.jit
def _find(histogram, rank, upper, threshold, IS_LOWER: tl.constexpr,  # noqa: N803
          BINS: tl.constexpr, CHUNK: tl.constexpr):  # noqa: N803
    """From the highest bin down, the one that holds the wanted rank, and the rank within it."""
    image = tl.program_id(0)
    wanted = tl.load(rank + image)
    above, found, rest = 0, 0, 0
    for start in range(0, BINS, CHUNK):
        place = BINS - 1 - start - tl.arange(0, CHUNK)
        counts = tl.load(histogram + image.to(tl.int64) * BINS + place)
        reached = above + tl.cumsum(counts, 0)
        before = reached - counts
        is_it = (before < wanted) & (wanted <= reached)
        found += tl.sum(tl.where(is_it, place, 0), 0)
        rest += tl.sum(tl.where(is_it, wanted - before, 0), 0)
        above += tl.sum(counts, 0)
    if IS_LOWER:
        order = ((tl.load(upper + image) - BINS // 2) << 16) | found
        bits = order ^ ((order >> 31) & 0x7FFFFFFF)
        tl.store(threshold + image, bits.to(tl.float32, bitcast=True))
    else:
        tl.store(upper + image, found)
        tl.store(rank + image, rest)
