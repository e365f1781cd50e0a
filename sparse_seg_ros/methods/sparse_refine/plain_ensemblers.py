# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Ensemblers without weights, SparseRefine's Table 5e: one of the two predictions of a pixel wins.

Each is called like the gated ensembler, with (M, C) coarse and (k M, C) refined logits. An oracle
gets (k M,) true ids, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.reading import entropy


class Direct(nn.Module):
    """The refined prediction, always."""

    needs_truth = False

    def forward(self, coarse: Tensor, refined: Tensor, targets: Tensor | None = None) -> Tensor:
        return refined


class LowerEntropy(nn.Module):
    """The surer of the two; of equals the coarse one."""

    needs_truth = False

    def forward(self, coarse: Tensor, refined: Tensor, targets: Tensor | None = None) -> Tensor:
        coarse = repeat(coarse, refined)
        return torch.where((entropy(refined) < entropy(coarse))[:, None], refined, coarse)


class Oracle(nn.Module):
    """The refined prediction where it is right, else the coarse one."""

    needs_truth = True

    def forward(self, coarse: Tensor, refined: Tensor, targets: Tensor | None = None) -> Tensor:
        coarse = repeat(coarse, refined)
        return torch.where((refined.argmax(1) == targets)[:, None], refined, coarse)


def repeat(coarse: Tensor, refined: Tensor) -> Tensor:
    """(M, C), (k M, C) -> (k M, C) coarse logits of each refined pixel."""
    return coarse.repeat(len(refined) // max(1, len(coarse)), 1)
