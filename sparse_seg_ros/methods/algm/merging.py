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
are weighted by size. Windows may merge in a second layer, too: those of the same size that have
not merged before.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.algm.choices import Choice
from sparse_seg_ros.networks.vit.tokens import Tokens, rows_of, unmerge


def merge_local(tokens: Tokens, window: tuple[int, int], choose: Choice,
                picks: bool = False) -> Tokens:
    """
    Average the tokens of the windows chosen by the mean cosine similarity within each.

    tokens: nothing merged yet, or windows of this size. window: rows and columns of patches; it
    must divide the grid. picks: as of `merge`. Order after: class token, merged windows by
    descending similarity, other tokens as they were.
    """
    similarity = window_similarity(tokens, window)  # (B, W)
    windows = window_of_patches(tokens.grid_hw, window, similarity.device)  # (N,)
    if tokens.groups is None:
        count, rank = choose(similarity), rank_candidates(similarity)
        rank = rank[:, windows]  # (B, T - 1): that of its window
    else:
        count, rank = rank_windows_left(tokens.sizes, tokens.groups, windows, similarity, choose)
    stays = rank >= count
    places = torch.where(stays, count + stays.cumsum(1), 1 + rank)
    tokens_gone = count * (window[0] * window[1] - 1)
    return merge(tokens, F.pad(places, (1, 0)), tokens_gone, picks)


def merge_global(tokens: Tokens, choose: Choice, features: Tensor | None = None,
                 picks: bool = False) -> Tokens:
    """
    Average each even token chosen into its most similar odd one.

    The class token, at 0, takes no part. Averages are weighted by size. Order after: class token,
    even tokens that did not merge, all odd ones. features (B, T, f): what is compared by cosine
    instead of the values. The choice takes the best similarities (B, A) of the even tokens.
    picks: as of `merge`.
    """
    unit = unit_rows(tokens.values if features is None else features)
    best, match = (unit[:, 2::2] @ unit[:, 1::2].mT).max(2)  # (B, A)
    count, rank = choose(best), rank_candidates(best)
    stays = rank >= count
    first_odd = 1 + rank.shape[1] - count
    places = torch.zeros_like(tokens.values[..., 0], dtype=torch.int64)  # (B, T)
    places[:, 1::2] = first_odd + torch.arange(places.shape[1] // 2, device=places.device)
    places[:, 2::2] = torch.where(stays, stays.cumsum(1), first_odd + match)
    return merge(tokens, places, count, picks)


def window_similarity(tokens: Tokens, window: tuple[int, int]) -> Tensor:
    """
    (B, W) mean cosine similarity of the pairs in each window, windows in raster order.

    From the sum of k unit vectors: its squared length is k plus the similarities of all pairs.
    """
    (rows, columns), (height, width) = tokens.grid_hw, window
    if rows % height or columns % width:
        raise ValueError(f'window {window} must divide the grid of patches, got {rows} x '
                         f'{columns}; pad the image, or take another window')
    unit = unit_rows(tokens.values)
    unit = unit if tokens.groups is None else unmerge(unit, tokens.groups)
    unit = unit[:, 1:].unflatten(1, (rows // height, height, columns // width, width))
    count = height * width
    squared_length = unit.sum((2, 4)).square().sum(-1).flatten(1)  # (B, W)
    return (squared_length - count) / (count * (count - 1))


def window_of_patches(grid_hw: tuple[int, int], window: tuple[int, int],
                      device: torch.device) -> Tensor:
    """(N,) window of each patch, both in raster order."""
    row = torch.arange(grid_hw[0], device=device) // window[0]
    column = torch.arange(grid_hw[1], device=device) // window[1]
    return (row[:, None] * (grid_hw[1] // window[1]) + column).flatten()


def rank_windows_left(sizes: Tensor, groups: Tensor, windows: Tensor, similarity: Tensor,
                      choose: Choice) -> tuple[int, Tensor]:
    """
    Sizes and groups of Tokens, windows (N,), similarity (B, W) -> number to merge, (B, T - 1).

    Candidates are the windows that have not merged, as many in all images of a batch. The ranks
    are those of the tokens' windows; that of a merged window is W.
    """
    of_tokens = torch.zeros_like(sizes)  # (B, T)
    of_tokens = of_tokens.scatter(1, groups[:, 1:], windows.expand(len(groups), -1))[:, 1:]
    is_merged = torch.zeros_like(similarity, dtype=torch.int64).scatter(
        1, of_tokens, (sizes[:, 1:] > 1).long())  # (B, W)
    gone = windows.shape[0] // similarity.shape[1] - 1  # tokens, where a window merges
    left = similarity.shape[1] - (windows.shape[0] + 1 - sizes.shape[1]) // gone
    candidates = is_merged.argsort(dim=1, stable=True)[:, :left]  # in raster order
    best = similarity.gather(1, candidates)
    rank = torch.full_like(is_merged, similarity.shape[1])
    rank = rank.scatter(1, candidates, rank_candidates(best))
    return choose(best), rank.gather(1, of_tokens)


def rank_candidates(similarity: Tensor) -> Tensor:
    """(B, n) -> (B, n) rank by descending similarity, equal ones in order."""
    if torch.compiler.is_exporting():  # no stable sort in ONNX; its TopK takes equals in order
        order = similarity.topk(similarity.shape[1], dim=1).indices
    else:
        order = similarity.argsort(dim=1, descending=True, stable=True)
    ranks = torch.arange(similarity.shape[1], device=order.device).expand_as(order)
    return torch.zeros_like(order).scatter(1, order, ranks)


def merge(tokens: Tokens, places: Tensor, gone: int, picks: bool = False,
          weights: Tensor | None = None) -> Tokens:
    """
    Average the tokens sent to one place; places (B, T) are T - gone.

    weights (B, T): of the average; None: the sizes. picks: one of them, drawn by its number
    alone, stands for all, in place of the average.
    """
    values = tokens.values
    weights = tokens.sizes if weights is None else weights
    length = places.shape[1] - gone
    if picks:
        weights = picked(places, length)
    total = torch.zeros_like(weights[:, gone:]).scatter_add(1, places, weights)  # (B, T - gone)
    share = weights.double() / total.gather(1, places)  # (B, T); exactly 1 where nothing merges
    shared = values * share.to(values.dtype).unsqueeze(2)
    merged = torch.zeros_like(values[:, gone:]).flatten(0, 1)  # (B (T - gone), d)
    merged = merged.index_add(0, rows_of(places, length), shared.flatten(0, 1))
    groups = places if tokens.groups is None else places.gather(1, tokens.groups)
    return Tokens(merged.unflatten(0, total.shape), tokens.grid_hw, groups)


def picked(places: Tensor, length: int) -> Tensor:
    """(B, T) places of 0 to length - 1 -> (B, T) int64, 1 for one token of each, drawn."""
    count = places.shape[1]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    order = order.to(places.device).expand_as(places)
    first = torch.full_like(places[:, :length], count).scatter_reduce(1, places, order, 'amin')
    return (order == first.gather(1, places)).long()


def spread(tokens: Tokens, merged: Tokens) -> Tokens:
    """Give every token the value of the one that it was merged into; nothing gets fewer."""
    if merged.groups is None:
        return tokens
    return Tokens(unmerge(merged.values, merged.groups), tokens.grid_hw)


def unit_rows(values: Tensor) -> Tensor:
    """(B, T, d) -> the same of length 1, at least in single precision, without gradient."""
    precision = torch.promote_types(values.dtype, torch.float32)
    return F.normalize(values.detach().to(precision), dim=2)
