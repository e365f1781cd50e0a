# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From coarse and refined logits to the outputs of a frame at full size, in one pass."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sparse_seg_ros.kernels.softmax import ERRORS, check_equal, read_tile, tile_of

__all__ = ['ERRORS', 'check', 'finish']
Result = tuple[Tensor, Tensor, Tensor, Tensor | None]  # labels, uncertainty, refined, confidence


def finish(logits: Tensor, fine: Tensor, positions: Tensor, selected: Tensor,
           size_hw: tuple[int, ...], temperature: float, wants_confidence: bool) -> Result:
    """
    (B, C, h, w) coarse, (N, C) refined logits -> labels uint8, uncertainty float32, refined bool.

    And confidence float32, or None; (B, H, W) each, coarse enlarged by nearest neighbour.
    positions: (N,) int64 of the refined ones in the flattened (B, H, W); B * H * W for a row that
    is not to be written. selected: (B, h', w') bool of any size, which enlarged covers these
    positions and no others.
    """
    logits = logits.contiguous()
    batch, classes, *low_hw = logits.shape
    kind = {'size': (batch, *size_hw), 'device': logits.device}
    labels, uncertainty, refined = (torch.empty(**kind, dtype=dtype) for dtype in (
        torch.uint8, torch.float32, torch.bool))
    confidence = torch.empty_like(uncertainty) if wants_confidence else None
    tile = tile_of(classes)
    coarse_blocks, fine_blocks = (triton.cdiv(count, tile['BLOCK'])
                                  for count in (labels.numel(), len(fine)))
    if coarse_blocks:
        with torch.cuda.device_of(logits):
            _write[(coarse_blocks + fine_blocks,)](
                logits, fine, positions, selected.contiguous().view(torch.uint8), labels,
                uncertainty, refined.view(torch.uint8),
                uncertainty if confidence is None else confidence,
                batch, len(fine), *fine.stride(), coarse_blocks, *size_hw, *low_hw,
                *selected.shape[1:], *ratios(low_hw, size_hw),
                *ratios(selected.shape[1:], size_hw), 1 / temperature, 1 / math.log(classes),
                WANTS_CONFIDENCE=wants_confidence, **tile)
    return labels, uncertainty, refined, confidence


def ratios(low_hw, size_hw: tuple[int, ...]) -> list[float]:
    """Sizes -> low / full of both axes; rounded to float32, as `F.interpolate` has them."""
    return [low / full for low, full in zip(low_hw, size_hw)]


def check(device: str) -> None:
    """Finish a small image; RuntimeError where torch has another result."""
    logits = torch.linspace(-3, 3, 5 * 12, device=device).sin().view(1, 5, 3, 4) * 4
    fine, positions = logits.flatten(2)[0].t()[:4].flip(1), torch.arange(4, device=device)
    selected = torch.zeros((1, 3, 4), dtype=torch.bool, device=device)
    selected[0, 0] = True
    want = torch.cat((fine, logits.flatten(2)[0].t()[4:]))
    labels, uncertainty, refined, confidence = finish(
        logits, fine, positions, selected, (3, 4), 1.0, True)
    log_p = want.log_softmax(1)
    check_equal(labels.flatten(), want.argmax(1))
    check_equal(uncertainty.flatten(), -(log_p.exp() * log_p).sum(1) / math.log(5))
    check_equal(confidence.flatten(), log_p.exp().amax(1))
    check_equal(refined, selected)


@triton.jit
def _source(place, ratio, side):
    """Nearest neighbour, as `F.interpolate` has it."""
    return tl.minimum(tl.floor(place.to(tl.float32) * ratio).to(tl.int32), side - 1)


@triton.jit(do_not_specialize=['fine_count', 'coarse_blocks', 'batch'])
def _write(
    logits, fine, positions, selected, labels, uncertainty, refined, confidence,
    batch, fine_count, fine_stride, class_stride, coarse_blocks, height, width, low_height,
    low_width, mask_height, mask_width, y_ratio, x_ratio, mask_y_ratio, mask_x_ratio, sharpness,
    per_nat, WANTS_CONFIDENCE: tl.constexpr, CLASSES: tl.constexpr,  # noqa: N803
    CLASS_BLOCK: tl.constexpr, BLOCK: tl.constexpr,  # noqa: N803
):
    """First the blocks of pixels that keep the coarse prediction, then those of refined ones."""
    block, classes = tl.program_id(0), tl.arange(0, CLASS_BLOCK)
    is_class, at = classes < CLASSES, tl.arange(0, BLOCK)
    pixels = batch.to(tl.int64) * height * width
    if block < coarse_blocks:
        target = block.to(tl.int64) * BLOCK + at
        is_there = target < pixels
        image, y, x = target // (height * width), target // width % height, target % width
        mask_y = _source(y, mask_y_ratio, mask_height)
        mask_x = _source(x, mask_x_ratio, mask_width)
        is_refined = tl.load(selected + (image * mask_height + mask_y) * mask_width + mask_x,
                             is_there, 0)
        tl.store(refined + target, is_refined, is_there)
        is_there = is_there & (is_refined == 0)
        y, x = _source(y, y_ratio, low_height), _source(x, x_ratio, low_width)
        source = image * CLASSES * low_height * low_width + y * low_width + x
        steps = classes.to(tl.int64) * low_height * low_width
        values = tl.load(logits + source[None, :] + steps[:, None],
                         is_class[:, None] & is_there[None, :], 0.0).to(tl.float32)
    else:
        row = (block - coarse_blocks).to(tl.int64) * BLOCK + at
        target = tl.load(positions + row, row < fine_count, pixels)
        is_there = target < pixels
        values = tl.load(
            fine + row[None, :] * fine_stride + classes.to(tl.int64)[:, None] * class_stride,
            is_class[:, None] & is_there[None, :], 0.0).to(tl.float32)
    label, best, entropy = read_tile(values * sharpness, classes, float('-inf'), CLASSES)
    tl.store(labels + target, label.to(tl.uint8), is_there)
    unsure = entropy * per_nat
    unsure = tl.where(unsure < 0.0, 0.0, tl.where(unsure > 1.0, 1.0, unsure))  # keeps NaN
    tl.store(uncertainty + target, unsure, is_there)
    if WANTS_CONFIDENCE:
        tl.store(confidence + target, best, is_there)
