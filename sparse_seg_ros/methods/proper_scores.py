# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Negative log-likelihood and Brier score of pixels: where the truth is known, and wanted.

Both are made of the coarse probabilities at full size, and of the fine ones where the method
refined, so that they are those of the labels that it gives. A large image is looked at on a
lattice: neighbours say the same, and all of them cost a tenth of the frame.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.reading import enlarge
from sparse_seg_ros.methods.request import PROPER_SCORES, Request
from sparse_seg_ros.timing import Stopwatch

MOST_PIXELS = 2 ** 18  # of an image; an image with more is looked at in every so many-th row


def with_proper_scores(output: MethodOutput, request: Request, clock: Stopwatch, logits: Tensor,
                       temperature: float, fine: tuple[Tensor, Tensor, Tensor] | None = None
                       ) -> MethodOutput:
    """
    Return the output with nll and brier, if the request wants them and knows the truth.

    logits (B, C, h, w). fine: (N, C) logits, (N,) their positions in the flattened (B, h', w'),
    and a (B, h', w') tensor of the size that was refined; None where nothing was.
    """
    if PROPER_SCORES not in request.wants or request.truth is None:
        return output
    with clock(PROPER_SCORES):
        size_hw, step = request.truth.shape[1:], lattice_step(request.truth.shape[1:])
        truth = request.truth[:, ::step, ::step]
        seen = at_lattice(logits, size_hw, step).float()  # (B, C, H', W')
        if fine is not None and len(fine[0]):
            values, positions, of_size = fine
            row = torch.full((of_size.numel(),), -1, dtype=torch.int32, device=values.device)
            row[positions] = torch.arange(len(values), dtype=row.dtype, device=row.device)
            row = at_lattice(row.view(of_size.shape)[:, None], size_hw, step)[:, 0]
            is_fine = row >= 0
            seen.movedim(1, -1)[is_fine] = values[row[is_fine].long()].float()
        log_p = seen.div_(temperature).log_softmax(1)
        ids = truth.long().clamp_(max=log_p.shape[1] - 1)[:, None]  # void is left out below
        true = log_p.gather(1, ids)[:, 0]
        brier = log_p.exp_().square_().sum(1).add_(1).sub_(true.exp(), alpha=2).clamp_(0, 2)
        is_void = truth == VOID
        return replace(output, nll=true.neg_().masked_fill_(is_void, math.nan),
                       brier=brier.masked_fill_(is_void, math.nan))


def lattice_step(size_hw: tuple[int, ...]) -> int:
    """Return every how many-th row and column of an image is looked at."""
    return math.ceil(math.sqrt(max(1.0, math.prod(size_hw) / MOST_PIXELS)))


def at_lattice(values: Tensor, size_hw: tuple[int, ...], step: int) -> Tensor:
    """(B, C, h, w) -> (B, C, H', W'): what `enlarge` to a size has at every so many-th place."""
    rows, columns = (
        enlarge(torch.arange(low, dtype=torch.float64, device=values.device).view(1, 1, -1),
                (1, full)).flatten().long()[::step]
        for low, full in zip(values.shape[2:], size_hw))
    return values[:, :, rows[:, None], columns]
