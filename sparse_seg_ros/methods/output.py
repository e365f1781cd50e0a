# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every method returns: tensors on the device, still without full-resolution logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class MethodOutput:
    """
    labels (B, H, W) uint8; uncertainty (B, H, W) in [0, 1]; confidence (B, H, W) in [0, 1].

    refined: (B, H, W) bool, or None for a method without a sparse stage. confidence: None unless
    the request wants it. merged: (B, H, W) int32; None unless the request wants it and the method
    merges tokens. nll, brier: (B, H', W') of the truth, see proper_scores.py; None unless the
    request wants PROPER_SCORES and has a truth. is_cut: whether the budget kept pixels out that
    were to be refined, () bool where it is still on the device; None of a method without a budget.
    work: what else the method's count_macs has to know about these images.
    """

    labels: Tensor
    uncertainty: Tensor
    refined: Tensor | None = None
    confidence: Tensor | None = None
    merged: Tensor | None = None
    nll: Tensor | None = None
    brier: Tensor | None = None
    work: Any = None
    is_cut: bool | Tensor | None = None
