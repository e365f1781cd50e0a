# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Tokens of a vision transformer, and the patches of the image that each of them stands for.

At first every patch is a token of its own. A method may merge tokens inside the encoder. Then
there are fewer tokens than patches, and `groups` says where each patch went. Decoders work on the
tokens, and `to_grid` gives every patch the result of its token. Or `restored` gives every patch a
token again before the decoder. Or tokens stop early, with the logits of an exit on their way, and
are kept aside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Stopped(NamedTuple):
    """Tokens that no later block sees: P of each image."""

    values: Tensor  # (B, P, d)
    logits: Tensor  # (B, P, C) of the exits where they stopped


@dataclass(frozen=True)
class Tokens:
    """
    values (B, T, d), the class token first; grid_hw: rows and columns of patches.

    groups (B, 1 + N): index in values of the class token's token, 0, and of the token of each of
    the N patches in raster order; None while each is its own. mixture: the tokens that a patch is
    restored from, as indices in values (B, N, k), and their shares (B, N, k); None: from its own.
    is_restored: the patches have values of their own again, and groups says which were alike.
    stopped: tokens kept aside; groups counts them behind those in values.
    """

    values: Tensor
    grid_hw: tuple[int, int]
    groups: Tensor | None = None
    mixture: tuple[Tensor, Tensor] | None = None
    is_restored: bool = False
    stopped: Stopped | None = None

    @property
    def sizes(self) -> Tensor:
        """(B, T) int64: how many patches each token stands for; 1 for the class token."""
        ones = torch.ones_like(self.values[..., 0], dtype=torch.int64)
        if self.groups is None:
            return ones
        return torch.zeros_like(ones).scatter_add(1, self.groups, torch.ones_like(self.groups))

    def map(self, function: Callable[[Tensor], Tensor]) -> Tokens:
        """Replace the values by function(values), as many."""
        return replace(self, values=function(self.values))

    def restored(self) -> Tokens:
        """Give every patch a token again: a copy of its own, or the mixture of several."""
        if self.groups is None:
            return self
        if self.mixture is None:
            values = self.values
            if self.stopped is not None:
                values = torch.cat((values, self.stopped.values), 1)
            return replace(self, values=unmerge(values, self.groups), is_restored=True)
        places, shares = self.mixture
        weights = self.values.new_zeros(*places.shape[:2], self.values.shape[1])  # (B, N, T)
        weights = weights.scatter(2, places, shares.to(weights.dtype))
        patches = (weights @ self.values).to(self.values.dtype)
        return replace(self, values=torch.cat((self.values[:, :1], patches), 1), is_restored=True)

    def patch_groups(self) -> Tensor:
        """(B, rows, columns) int64: which token each patch has, from 0, without the class's."""
        if self.groups is None:
            count = self.values.shape[1] - 1
            each = torch.arange(count, device=self.values.device).expand(len(self.values), count)
        else:
            each = self.groups[:, 1:] - 1
        return each.unflatten(1, self.grid_hw)

    def to_grid(self, results: Tensor) -> Tensor:
        """
        (B, T - 1, c), a row for each token but the class token -> (B, c, rows, columns).

        0 where a token has stopped.
        """
        if self.groups is not None and not self.is_restored:
            if self.stopped is not None:
                results = F.pad(results, (0, 0, 0, self.stopped.values.shape[1]))
            results = unmerge(results, self.groups[:, 1:] - 1)  # (B, N, c)
        return results.mT.unflatten(2, self.grid_hw)

    def with_exits(self, logits: Tensor) -> Tensor:
        """
        (B, C, h, w) logits of the grid -> the same, but those of the exits where tokens stopped.

        h and w may be a multiple of the grid's.
        """
        if self.stopped is None or not self.stopped.logits.shape[1]:
            return logits
        places = self.groups[:, 1:] - (self.groups.shape[1] - self.stopped.logits.shape[1])
        own = unmerge(self.stopped.logits, places.clamp_min(0)).mT  # (B, C, N)
        has_stopped = (places >= 0).unflatten(1, self.grid_hw)[:, None]
        own, has_stopped = (
            F.interpolate(part.to(logits.dtype), logits.shape[2:], mode='nearest')
            for part in (own.unflatten(2, self.grid_hw), has_stopped))
        return torch.where(has_stopped > 0, own, logits)


def unmerge(results: Tensor, groups: Tensor) -> Tensor:
    """(B, T, c) by token, (B, N) token of each patch -> (B, N, c) by patch."""
    rows = results.flatten(0, 1).index_select(0, rows_of(groups, results.shape[1]))
    return rows.unflatten(0, groups.shape)


def rows_of(places: Tensor, length: int) -> Tensor:
    """(B, n) indices into each image's `length` rows -> (B n,) into those of all images."""
    first = length * torch.arange(len(places), device=places.device)
    return (places + first.unsqueeze(1)).flatten()
