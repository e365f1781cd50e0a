# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Negative log-likelihood and Brier score of each pixel: where the truth is known, and wanted.

Both are made of the coarse probabilities at full size, and of the fine ones where the method
refined, so that they are those of the labels that it gives.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.reading import bands, enlarge
from sparse_seg_ros.methods.request import PROPER_SCORES, Request
from sparse_seg_ros.timing import Stopwatch


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
    truth = request.truth
    with clock(PROPER_SCORES):
        nll, squares = score(logits, truth, temperature)
        if fine is not None and len(fine[0]):
            nll, squares = overwritten(nll, squares, truth, temperature, fine)
        is_void = truth == VOID
        brier = squares.add(1).sub_(nll.neg().exp_(), alpha=2).clamp_(0, 2)
        return replace(output, nll=nll.masked_fill_(is_void, 0),
                       brier=brier.masked_fill_(is_void, 0))


def score(logits: Tensor, truth: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B, C, h, w), (B, H, W) ids -> nll in nats, sum of squared probabilities: (B, H, W)."""
    log_p, squares = probabilities(logits, temperature)
    height, width = logits.shape[2:]
    rows, columns = (sources(length, full, truth.device) for length, full in zip(
        (height, width), truth.shape[1:]))
    pixel = rows[:, None] * width + columns  # (H, W)
    nll = [image.flatten()[ids.clamp(max=len(image) - 1).long().mul_(height * width).add_(pixel)]
           for image, ids in zip(log_p, truth)]  # void is left out later
    return torch.stack(nll).neg_(), enlarge(squares, truth.shape[1:])


def sources(length: int, full: int, device: torch.device) -> Tensor:
    """Return the coarse place of each place along a side, (full,) int64, as `enlarge` has it."""
    ramp = torch.arange(length, dtype=torch.float64, device=device)
    return enlarge(ramp.view(1, 1, -1), (1, full)).flatten().long()


def probabilities(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B, C, n, ...) -> log-probabilities, and the sum of squared probabilities, (B, n, ...)."""
    log_p, squares = [], []
    for band in bands(logits):
        log_p.append((band if temperature == 1 else band / temperature).float().log_softmax(1))
        p = log_p[-1].exp()
        squares.append(p.square_().sum(1))
    return torch.cat(log_p, 2), torch.cat(squares, 1)


def overwritten(nll: Tensor, squares: Tensor, truth: Tensor, temperature: float,
                fine: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return both, with those of the fine logits at the pixels that were refined."""
    logits, positions, of_size = fine
    log_p, square = probabilities(logits.t()[None], temperature)  # (1, C, N), (1, N)
    nll, squares = nll.contiguous(), squares.contiguous()
    if of_size.shape == truth.shape:
        ids = truth.flatten()[positions].long().clamp_(max=log_p.shape[1] - 1)
        nll.view(-1)[positions] = -log_p[0].gather(0, ids[None])[0]
        squares.view(-1)[positions] = square[0]
        return nll, squares
    row = torch.full((of_size.numel(),), -1.0, dtype=torch.float64, device=nll.device)
    row[positions] = torch.arange(len(positions), dtype=row.dtype, device=nll.device)
    row = enlarge(row.view(of_size.shape), truth.shape[1:]).long()  # (B, H, W), -1 if coarse
    is_fine = row >= 0
    rows, ids = row[is_fine], truth[is_fine].long().clamp_(max=log_p.shape[1] - 1)
    nll[is_fine], squares[is_fine] = -log_p[0, ids, rows], square[0, rows]
    return nll, squares
