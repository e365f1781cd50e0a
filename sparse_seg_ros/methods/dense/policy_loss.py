# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a policy network learns: which cells of an image show one class only.

Lu et al., "Content-aware Token Sharing for Efficient Semantic Segmentation with Vision
Transformers": binary cross entropy, from the labels alone. Void pixels count for no class.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.losses import positive
from sparse_seg_ros.networks.vit.policy import SIDE
from sparse_seg_ros.processes import mean_over_processes


def policy_loss(logits: Tensor, labels: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """(B, h, w) logits, (B, H, W) ids, size of the network's input -> mean over known cells."""
    is_uniform, is_known = uniform_cells(labels, size_hw)
    losses = F.binary_cross_entropy_with_logits(
        logits.float(), is_uniform.float(), reduction='none')
    return (losses * is_known).sum() / positive(mean_over_processes(is_known.float().sum()))


def uniform_cells(labels: Tensor, size_hw: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """
    (B, H, W) ids -> (B, h, w) bool twice: whether a cell has one class only, or any at all.

    Cells are superpatches of an image of that size; the last ones may reach beyond it.
    """
    ids = F.interpolate(labels[:, None].float(), size_hw, mode='nearest-exact')
    ids = F.pad(ids, (0, -size_hw[1] % SIDE, 0, -size_hw[0] % SIDE), value=VOID)
    is_void = ids == VOID
    largest = F.max_pool2d(ids.masked_fill(is_void, -torch.inf), SIDE)[:, 0]
    smallest = -F.max_pool2d(-ids.masked_fill(is_void, torch.inf), SIDE)[:, 0]
    return largest == smallest, largest >= 0
