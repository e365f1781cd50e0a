# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rival Token Pooling: a few tokens, the medoids of weighted clusters, stand for all.

Marin et al., "Token Pooling in Vision Transformers", from its description: weighted k-medoids.
The weight of a token is its significance, the attention that it gets from all tokens, averaged
over heads; the most significant ones are the first medoids. In each round a token joins the
nearest medoid, and the member nearest to a cluster's weighted mean becomes its medoid, which has
the least weighted sum of squared distances.
Different from there, where a picture is classified: every patch gets the logits of its medoid.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.algm.merging import merge, rank_candidates
from sparse_seg_ros.networks.vit.tokens import Tokens, rows_of

ROUNDS = 5


def merge_to_medoids(tokens: Tokens, queries_keys: Tensor, keep: float) -> Tokens:
    """
    Tokens, (2, B, heads, T, d / heads) -> keep x as many, and the class token, in their order.

    A token keeps its value exactly, as medoid, or is left to one.
    """
    values = tokens.values[:, 1:].detach()  # (B, N, d)
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    count = max(1, round(keep * values.shape[1]))
    if count == values.shape[1]:
        return tokens
    weights = significance(queries_keys)[:, 1:].to(values.dtype)
    is_medoid = rank_candidates(weights) < count  # (B, N)
    for _ in range(ROUNDS):
        is_medoid = central(values, weights, clusters(values, is_medoid, count), count)
    places = F.pad(1 + clusters(values, is_medoid, count), (1, 0))
    return merge(tokens, places, values.shape[1] - count,
                 weights=F.pad(is_medoid.long(), (1, 0), value=1))


def significance(queries_keys: Tensor) -> Tensor:
    """(2, B, heads, T, d / heads) -> (B, T) attention that each gets, mean of heads and tokens."""
    per_head = queries_keys.detach().unbind(2)  # head by head: a map of (B, T, T) at a time
    return torch.stack([(query @ key.mT * key.shape[2] ** -0.5).softmax(2).mean(1)
                        for query, key in per_head]).mean(0)


def clusters(values: Tensor, is_medoid: Tensor, count: int) -> Tensor:
    """(B, N, d), (B, N) bool -> (B, N) cluster of each, from 0 in the order of the medoids."""
    medoids = (~is_medoid).long().argsort(dim=1, stable=True)[:, :count]  # (B, K), in order
    centers = values.gather(1, medoids[..., None].expand(-1, -1, values.shape[2]))
    nearest = torch.cdist(values, centers).argmin(2)
    own = torch.arange(medoids.shape[1], device=values.device).expand_as(medoids)
    return nearest.scatter(1, medoids, own)


def central(values: Tensor, weights: Tensor, cluster: Tensor, count: int) -> Tensor:
    """(B, N) weights and clusters -> (B, N) bool: the member nearest to its cluster's mean."""
    rows, number = rows_of(cluster, count), len(values) * count
    total = weights.new_zeros(number).index_add(0, rows, weights.flatten())
    share = weights.flatten() / total[rows].clamp_min(torch.finfo(weights.dtype).tiny)
    flat = values.flatten(0, 1)
    means = flat.new_zeros(number, flat.shape[1]).index_add(0, rows, flat * share[:, None])
    away = (flat - means[rows]).square().sum(1)
    least = torch.full_like(total, torch.inf).scatter_reduce(0, rows, away, 'amin')
    order = torch.arange(len(rows), device=rows.device)
    order = order.masked_fill(away != least[rows], len(rows))
    first = torch.full((number,), len(rows), device=rows.device).scatter_reduce(
        0, rows, order, 'amin')
    return (first[rows] == torch.arange(len(rows), device=rows.device)).view_as(cluster)
