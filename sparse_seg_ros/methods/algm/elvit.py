# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rival ELViT: neighbouring tokens are clustered in one layer, and restored before the decoder.

Liang et al., "Expediting Large-Scale Vision Transformer for Dense Prediction without
Fine-tuning", from its description. Clusters begin as averages over a coarser grid. In each of a
few rounds every token belongs, in shares, to the clusters around its place, and each cluster
becomes the average of its tokens. A restored token is the mixture of the clusters that were
nearest to it when they were made. Shares are softmax(-distance^2 / temperature).
Different from there: all distances are computed, of which only those of the clusters around count;
the clusters are made after the attention of the layer, not after its perceptron. They carry a
gradient as averages; the shares carry none. Not checked against the paper's text: the constants.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.networks.vit.tokens import Tokens

ROUNDS = 5
REACH = 2  # clusters of 5 x 5 around a token
NEAREST = 20  # clusters that a token is restored from
TEMPERATURE = 50.0


def merge_to_clusters(tokens: Tokens, keep: float) -> Tokens:
    """
    Tokens of which nothing has merged -> clusters, about keep x as many, and the class token.

    groups names the nearest cluster of each patch; some clusters may be nearest to none.
    """
    cells_hw = cluster_grid(tokens.grid_hw, keep)
    patches = tokens.values[:, 1:]  # (B, N, d)
    patches = patches.to(torch.promote_types(patches.dtype, torch.float32))
    fixed = patches.detach()
    is_around = clusters_around(tokens.grid_hw, cells_hw, fixed.device)  # (N, M)
    grid = fixed.mT.unflatten(2, tokens.grid_hw)  # (B, d, rows, columns)
    centers = F.adaptive_avg_pool2d(grid, cells_hw).flatten(2).mT  # (B, M, d)
    shares = shares_around(fixed, centers, is_around)
    for _ in range(ROUNDS - 1):
        centers = average(shares, fixed, centers)
        shares = shares_around(fixed, centers, is_around)
    values = average(shares, patches, centers)
    logits, nearest = closeness(fixed, values.detach()).topk(min(NEAREST, values.shape[1]))
    groups = F.pad(1 + nearest[..., 0], (1, 0))
    values = torch.cat((tokens.values[:, :1], values.to(tokens.values.dtype)), 1)
    return Tokens(values, tokens.grid_hw, groups, (1 + nearest, logits.softmax(2)))


def cluster_grid(grid_hw: tuple[int, int], keep: float) -> tuple[int, int]:
    """Rows and columns of patches -> those of clusters, each side sqrt(keep) x as long."""
    rows, columns = (max(1, round(side * math.sqrt(keep))) for side in grid_hw)
    return rows, columns


def clusters_around(grid_hw: tuple[int, int], cells_hw: tuple[int, int],
                    device: torch.device) -> Tensor:
    """(N, M) bool: whether a cluster lies within REACH of the cell that a patch lies in."""
    near = []
    for side, cells in zip(grid_hw, cells_hw):
        own = torch.arange(side, device=device) * cells // side
        near.append((own[:, None] - torch.arange(cells, device=device)).abs() <= REACH)
    rows, columns = near  # (rows, cells of a column), (columns, cells of a row)
    return (rows[:, None, :, None] & columns[:, None]).flatten(2).flatten(0, 1)


def shares_around(patches: Tensor, centers: Tensor, is_around: Tensor) -> Tensor:
    """(B, N, d), (B, M, d), (N, M) bool -> (B, N, M) share of each patch in the clusters."""
    return closeness(patches, centers).masked_fill(~is_around, -math.inf).softmax(2)


def closeness(patches: Tensor, centers: Tensor) -> Tensor:
    """(B, N, d), (B, M, d) -> (B, N, M) logits of the shares: -distance^2 / temperature."""
    return -torch.cdist(patches, centers).square() / TEMPERATURE


def average(shares: Tensor, patches: Tensor, former: Tensor) -> Tensor:
    """(B, N, M) shares, (B, N, d) -> (B, M, d) weighted averages; the former without a share."""
    total = shares.sum(1).unsqueeze(2)  # (B, M, 1)
    found = shares.mT @ patches / total.clamp_min(torch.finfo(total.dtype).tiny)
    return torch.where(total > 0, found, former)
