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


def with_proper_scores(output: MethodOutput, request: Request, logits: Tensor,
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
    nll, squares = score(logits, truth, temperature)
    if fine is not None and len(fine[0]):
        nll, squares = overwritten(nll, squares, truth, temperature, fine)
    is_void = truth == VOID
    brier = (1 - 2 * torch.exp(-nll) + squares).clamp_(0, 2)
    return replace(output, nll=nll.masked_fill_(is_void, 0), brier=brier.masked_fill_(is_void, 0))


def score(logits: Tensor, truth: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B, C, h, w), (B, H, W) ids -> nll in nats, sum of squared probabilities: (B, H, W)."""
    log_p, squares = probabilities(logits, temperature)
    number = torch.arange(squares.numel(), dtype=torch.float64, device=logits.device)
    place = enlarge(number.view(squares.shape), truth.shape[1:]).long()  # (B, H, W)
    image, pixel = divide(place, squares[0].numel())
    ids = truth.long().clamp_(max=logits.shape[1] - 1)  # void is left out later
    flat = (image * logits.shape[1] + ids).mul_(squares[0].numel()).add_(pixel)
    return -log_p.reshape(-1)[flat], squares.reshape(-1)[place]


def divide(places: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return flat places as image and pixel."""
    image = torch.div(places, length, rounding_mode='floor')
    return image, places - image * length


def probabilities(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B, C, n, ...) -> log-probabilities, and the sum of squared probabilities, (B, n, ...)."""
    log_p = torch.cat([(band.float() / temperature).log_softmax(1) for band in bands(logits)], 2)
    return log_p, torch.cat([band.exp().square_().sum(1) for band in bands(log_p)], 1)


def overwritten(nll: Tensor, squares: Tensor, truth: Tensor, temperature: float,
                fine: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return both, with those of the fine logits at the pixels that were refined."""
    logits, positions, of_size = fine
    log_p, square = probabilities(logits.t()[None], temperature)  # (1, C, N), (1, N)
    row = torch.full((of_size.numel(),), -1.0, dtype=torch.float64, device=nll.device)
    row[positions] = torch.arange(len(positions), dtype=row.dtype, device=nll.device)
    row = enlarge(row.view(of_size.shape), truth.shape[1:]).long()  # (B, H, W), -1 if coarse
    is_fine = row >= 0
    rows, ids = row[is_fine], truth[is_fine].long().clamp_(max=log_p.shape[1] - 1)
    nll[is_fine], squares[is_fine] = -log_p[0, ids, rows], square[0, rows]
    return nll, squares
