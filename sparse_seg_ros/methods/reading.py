# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From logits to labels, uncertainty and confidence, in bands that stay in a CPU's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.kernels.switch import kernels_of
from sparse_seg_ros.sparse.grid import write_rows

BAND_VALUES = 1 << 18  # 1 MiB of float32
FEW_CLASSES = 32
LOG_FLOOR = math.log(1e-5)
Reading = tuple[Tensor, Tensor, Tensor | None]  # labels, uncertainty, confidence if wanted


def planes(logits: Tensor) -> Tensor:
    """(B, C, h, w) -> in float32, class after class, which a CPU reads twice as fast."""
    return logits.to(torch.float32, memory_format=torch.contiguous_format)


def bands(logits: Tensor) -> Iterator[Tensor]:
    """(B, C, n, ...) -> parts along n; on a CPU several passes over a small part are faster."""
    length = logits.shape[2]
    if logits.device.type == 'cpu':
        length = max(1, BAND_VALUES * length // max(1, logits.numel()))
    yield from logits.split(length, dim=2)


def read_logits(logits: Tensor, temperature: float,
                wants_confidence: bool) -> Reading:
    """(B, C, n, ...) logits -> labels uint8, entropy / ln C, and confidence if it is wanted."""
    labels, uncertainty, confidence = (
        torch.cat(parts, dim=1) for parts in zip(*(
            read(band if temperature == 1 else band / temperature) for band in bands(logits))))
    return labels, uncertainty, confidence if wants_confidence else None


def read(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C, ...) logits -> labels uint8, entropy / ln C, probability of the label."""
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    best, labels = best_class(p)
    entropy = -(p.mul_(log_p)).sum(1)
    return labels, (entropy / math.log(logits.shape[1])).clamp_(0, 1), best


def best_class(values: Tensor) -> tuple[Tensor, Tensor]:
    """
    (B, C, ...) -> (B, ...) the highest values, and uint8 where along C each is first reached.

    As `max`, but for few classes on a CPU a third faster; 0 where a value is not a number.
    """
    classes = values.shape[1]
    if values.device.type != 'cpu' or classes > FEW_CLASSES:
        best, labels = values.max(1)
        return best, labels.to(torch.uint8)
    best = values.amax(1, keepdim=True)
    numbers = torch.arange(classes, dtype=values.dtype).view(-1, *[1] * (values.dim() - 2))
    below = (values - best).sign_().mul_(-classes)  # C where it is lower, else 0
    labels = below.add_(numbers).amin(1).nan_to_num_(0)
    return best.squeeze(1), labels.to(torch.uint8)


def read_both(logits: Tensor, fine: Tensor, positions: Tensor, selected: Tensor,
              temperature: float, wants_confidence: bool) -> Reading:
    """
    Labels, uncertainty and confidence, (B, H, W) each: coarse, and fine where that was refined.

    logits (B, C, h, w), fine (N, C), positions (N,) of the fine ones in the flattened (B, H, W);
    selected (B, H, W) bool is True at these.
    """
    size_hw = selected.shape[1:]
    if kernels := kernels_for('result', logits):
        labels, uncertainty, _, confidence = kernels.finish(
            logits, fine, positions, selected, size_hw, temperature, wants_confidence)
        return labels, uncertainty, confidence
    return refined_reading(read_logits(logits, temperature, wants_confidence), fine, positions,
                           size_hw, temperature)


def kernels_for(stage: str, logits: Tensor) -> ModuleType | None:
    """Return the kernels that do what torch does with (B, C, h, w) logits, None without."""
    if logits.dim() != 4 or logits.dtype == torch.float64 or logits.requires_grad:
        return None
    return kernels_of(stage, logits.device.type)


def refined_reading(low: Reading, fine: Tensor, positions: Tensor, size_hw: tuple[int, ...],
                    temperature: float, is_padded: bool = False) -> Reading:
    """As `read_both`, of coarse (B, h, w) that are read. is_padded: as of `overwrite`."""
    by_class = fine.float().t()[None]  # (1, C, N): far faster on CPU than (N, C)
    high = read_logits(by_class, temperature, low[2] is not None)
    labels, uncertainty = (overwrite(enlarge(coarse, size_hw), positions, refined, is_padded)
                           for coarse, refined in zip(low[:2], high[:2]))
    confidence = None if low[2] is None or high[2] is None else \
        overwrite(enlarge(low[2], size_hw), positions, high[2], is_padded)
    return labels, uncertainty, confidence


def overwrite(values: Tensor, positions: Tensor, fine: Tensor, is_padded: bool) -> Tensor:
    """
    (B, H, W), (N,) flat positions, (1, N) -> values, with fine written to the positions.

    is_padded: where some positions are one past the last, for what is written nowhere.
    """
    if is_padded:
        return write_rows(values.flatten(), positions, fine[0]).view(values.shape)
    values.view(-1)[positions] = fine[0]
    return values


def enlarge(values: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """(B, h, w) -> (B, H, W) by nearest neighbour."""
    if values.shape[1:] == size_hw:
        return values
    if values.dtype == torch.bool:
        return enlarge(values.view(torch.uint8), size_hw).view(torch.bool)
    return F.interpolate(values.unsqueeze(1), size=size_hw, mode='nearest').squeeze(1)


def entropy(logits: Tensor) -> Tensor:
    """(B, C, ...) logits -> (B, ...) entropy in nats, from 0 (sure) to ln C (no idea)."""
    return entropy_of(logits.log_softmax(dim=1))


def entropy_of(log_p: Tensor) -> Tensor:
    """(B, C, ...) log-probabilities -> (B, ...) entropy in nats."""
    return -(log_p.exp() * log_p.clamp_min(LOG_FLOOR)).sum(dim=1)


def entropy_map(logits: Tensor) -> Tensor:
    """(B, C, h, w) logits -> (B, h, w) entropy in nats, on a CPU four times faster than in one."""
    if kernels := kernels_for('scores', logits):
        return kernels.entropy_map(logits, LOG_FLOOR)
    return torch.cat([entropy(band) for band in bands(logits)], dim=1)
