# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Merging of tokens: in windows of the image (CLAP), and of best matches anywhere (GBM).

ALGM, section 3.3, with the order of tokens of the release. Both return Tokens that remember
which patches each stands for; `Tokens.to_grid` undoes them. Similarities only choose what merges:
they carry no gradient, values do; under autocast, pairs are compared in its precision. How many
merge is left to a choice, see choices.py; it is the same number in all images of a batch, in each
the most similar first.
Different from the release: grids need not be square. Different from the paper: global averages
are weighted by size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.algm.choices import Choice
from sparse_seg_ros.networks.vit.tokens import Tokens, rows_of


def merge_local(tokens: Tokens, window: tuple[int, int], choose: Choice) -> Tokens:
    """
    Average the tokens of the windows chosen by the mean cosine similarity within each.

    tokens: nothing merged yet. window: rows and columns of patches; it must divide the grid.
    Order after: class token, merged windows by descending similarity, other tokens as they were.
    """
    similarity = window_similarity(tokens, window)  # (B, W)
    count, rank = choose(similarity), rank_candidates(similarity)
    rank = rank[:, window_of_patches(tokens.grid_hw, window, rank.device)]  # (B, N): its window's
    stays = rank >= count
    places = torch.where(stays, count + stays.cumsum(1), 1 + rank)
    patches_gone = count * (window[0] * window[1] - 1)
    return merge(tokens, F.pad(places, (1, 0)), patches_gone)


def merge_global(tokens: Tokens, choose: Choice, features: Tensor | None = None) -> Tokens:
    """
    Average each even token chosen into its most similar odd one.

    The class token, at 0, takes no part. Averages are weighted by size. Order after: class token,
    even tokens that did not merge, all odd ones. features (B, T, f): what is compared by cosine
    instead of the values. The choice takes the best similarities (B, A) of the even tokens.
    """
    unit = unit_rows(tokens.values if features is None else features)
    best, match = (unit[:, 2::2] @ unit[:, 1::2].mT).max(2)  # (B, A)
    count, rank = choose(best), rank_candidates(best)
    stays = rank >= count
    first_odd = 1 + rank.shape[1] - count
    places = torch.zeros_like(tokens.values[..., 0], dtype=torch.int64)  # (B, T)
    places[:, 1::2] = first_odd + torch.arange(places.shape[1] // 2, device=places.device)
    places[:, 2::2] = torch.where(stays, stays.cumsum(1), first_odd + match)
    return merge(tokens, places, count)


def window_similarity(tokens: Tokens, window: tuple[int, int]) -> Tensor:
    """
    (B, W) mean cosine similarity of the pairs in each window, windows in raster order.

    From the sum of k unit vectors: its squared length is k plus the similarities of all pairs.
    """
    (rows, columns), (height, width) = tokens.grid_hw, window
    if rows % height or columns % width:
        raise ValueError(f'window {window} must divide the grid of patches, got {rows} x '
                         f'{columns}; pad the image, or take another window')
    unit = unit_rows(tokens.values[:, 1:])
    unit = unit.unflatten(1, (rows // height, height, columns // width, width))
    count = height * width
    squared_length = unit.sum((2, 4)).square().sum(-1).flatten(1)  # (B, W)
    return (squared_length - count) / (count * (count - 1))


def window_of_patches(grid_hw: tuple[int, int], window: tuple[int, int],
                      device: torch.device) -> Tensor:
    """(N,) window of each patch, both in raster order."""
    row = torch.arange(grid_hw[0], device=device) // window[0]
    column = torch.arange(grid_hw[1], device=device) // window[1]
    return (row[:, None] * (grid_hw[1] // window[1]) + column).flatten()


def rank_candidates(similarity: Tensor) -> Tensor:
    """(B, n) -> (B, n) rank by descending similarity, equal ones in order."""
    if torch.compiler.is_exporting():  # no stable sort in ONNX; its TopK takes equals in order
        order = similarity.topk(similarity.shape[1], dim=1).indices
    else:
        order = similarity.argsort(dim=1, descending=True, stable=True)
    ranks = torch.arange(similarity.shape[1], device=order.device).expand_as(order)
    return torch.zeros_like(order).scatter(1, order, ranks)


def merge(tokens: Tokens, places: Tensor, gone: int) -> Tokens:
    """Average, weighted by size, the tokens sent to one place; places (B, T) are T - gone."""
    values, sizes = tokens.values, tokens.sizes
    total = torch.zeros_like(sizes[:, gone:]).scatter_add(1, places, sizes)  # (B, T - gone)
    share = sizes.double() / total.gather(1, places)  # (B, T); exactly 1 where nothing merges
    shared = values * share.to(values.dtype).unsqueeze(2)
    merged = torch.zeros_like(values[:, gone:]).flatten(0, 1)  # (B (T - gone), d)
    merged = merged.index_add(0, rows_of(places, total.shape[1]), shared.flatten(0, 1))
    groups = places if tokens.groups is None else places.gather(1, tokens.groups)
    return Tokens(merged.unflatten(0, total.shape), tokens.grid_hw, groups)


def unit_rows(values: Tensor) -> Tensor:
    """(B, T, d) -> the same of length 1, at least in single precision, without gradient."""
    precision = torch.promote_types(values.dtype, torch.float32)
    return F.normalize(values.detach().to(precision), dim=2)
