# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rival AiluRus: peaks of density among the tokens stand for those like them; restored by copies.

Li et al., "AiluRus: A Scalable ViT Framework for Dense Prediction", from its description: density
peaks clustering (Rodriguez and Laio, "Clustering by fast search and find of density peaks") that
knows where tokens lie. The distance of two tokens is that of their values x a factor that grows
with the rank of the one among the neighbours of the other in the image; beyond NEIGHBOURS it is
infinite. Density: exp(-mean distance to the nearest few). The tokens with the largest density x
distance to the nearest denser token remain; where no denser one is near, that distance is the
largest of the image. All others join the remaining token whose value is nearest, and are averaged.
NEIGHBOURS, NEAREST and LEAST_FACTOR are our choice. Memory grows with the square of the patches.
Different from there: attention is not weighted by size; the tokens are those after the attention
of the layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.algm.merging import merge, rank_candidates
from sparse_seg_ros.networks.vit.tokens import Tokens

NEIGHBOURS = 50  # in the image, that a token is compared with
NEAREST = 5  # of them, that its density is of
LEAST_FACTOR = 0.5  # of the nearest in the image; 1: the place does not matter among neighbours


def merge_to_peaks(tokens: Tokens, keep: float) -> Tokens:
    """Tokens of which nothing has merged -> keep x as many, and the class token, in order."""
    patches = tokens.values[:, 1:].detach()  # (B, N, d)
    patches = patches.to(torch.promote_types(patches.dtype, torch.float32))
    count = max(1, round(keep * patches.shape[1]))
    if count == patches.shape[1]:
        return tokens
    distances = torch.cdist(patches, patches)  # (B, N, N)
    factor = factor_of_place(tokens.grid_hw, distances)
    remains = rank_candidates(peak_scores(distances * factor, factor)) < count
    return join_nearest(tokens, distances, remains, count)


def factor_of_place(grid_hw: tuple[int, int], like: Tensor) -> Tensor:
    """
    (N, N) factor of the distance from patch i to patch j, 0 where j is no neighbour, or i itself.

    From LEAST_FACTOR on it grows with the rank of j by distance in the image, equals in order.
    """
    rows, columns = (torch.arange(side, device=like.device) for side in grid_hw)
    row, column = (part.flatten() for part in torch.meshgrid(rows, columns, indexing='ij'))
    apart = (row[:, None] - row).square() + (column[:, None] - column).square()
    in_order = apart * len(row) + torch.arange(len(row), device=like.device)  # no two are equal
    nearest = in_order.topk(min(NEIGHBOURS + 1, len(row)), largest=False).indices  # itself first
    rank = torch.arange(nearest.shape[1], device=like.device, dtype=like.dtype)
    factor = LEAST_FACTOR + (1 - LEAST_FACTOR) * rank / NEIGHBOURS
    factor[0] = 0
    return like.new_zeros(apart.shape).scatter(1, nearest, factor.expand(nearest.shape))


def peak_scores(distances: Tensor, factor: Tensor) -> Tensor:
    """(B, N, N) distances, (N, N) factors, 0 for none -> (B, N) log(density x distance)."""
    largest = distances.flatten(1).amax(1)[:, None]  # (B, 1)
    distances = distances.masked_fill(factor == 0, math.inf)
    nearest = distances.topk(min(NEAREST, NEIGHBOURS, factor.shape[0] - 1), largest=False).values
    density = -nearest.mean(2)  # its logarithm, (B, N)
    is_denser = density[:, None] > density[:, :, None]  # (B, i, j)
    to_denser = distances.masked_fill(~is_denser, math.inf).amin(2)
    return density + torch.where(to_denser.isinf(), largest, to_denser).log()


def join_nearest(tokens: Tokens, distances: Tensor, remains: Tensor, count: int) -> Tokens:
    """(B, N, N) distances, (B, N) bool, count True in each image -> averages around those."""
    places = distances.masked_fill(~remains[:, None], math.inf).argmin(2)  # (B, N): a patch
    own = torch.arange(remains.shape[1], device=remains.device).expand_as(remains)
    places = torch.where(remains, own, places)
    order = remains.cumsum(1).gather(1, places)  # (B, N): from 1, in order
    return merge(tokens, F.pad(order, (1, 0)), remains.shape[1] - count)
