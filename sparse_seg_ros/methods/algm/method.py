# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
ALGM on one frame: a plain vision transformer some of whose tokens merge on the way.

Labels and uncertainty are read from the logits of all patches, after tokens are given back to the
patches they stand for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.algm.patch import apply, expect_segmenter, remove
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.methods.dense import Dense, enlarge
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.networks.sliding import Windows
from sparse_seg_ros.networks.vit.tokens import Tokens


class Algm(Dense):
    """A Segmenter, SETR or SegViT that merges tokens, over the whole image or in windows."""

    def __init__(self, network: nn.Module, merging: Merging | None, scale: float = 1.0,
                 temperature: float = 1.0, windows: Windows | None = None):
        expect_segmenter(network)
        self.network, self.merging = network, merging
        super().__init__(network, scale, temperature, windows)
        self.seen: list[Tensor] = []  # token of each patch, (b, rows, columns), of each window
        self.calls: list[tuple[torch.Size, list[int]]] = []  # of the encoder: images, tokens left
        self.size_hw = (0, 0)  # of the images at scale
        self.given = torch.Size((0, 3, 0, 0))  # shape of the images

    @property
    def merging(self) -> Merging | None:
        """How tokens merge; None: they do not."""
        return self._merging

    @merging.setter
    def merging(self, merging: Merging | None) -> None:
        if merging is None:
            remove(self.network)
        else:
            apply(self.network, merging)
        self._merging = merging

    def coarse_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w), of all patches."""
        self.seen, self.calls, self.given = [], [], images.shape
        hook = self.network.encoder.register_forward_hook(self.note)
        try:
            logits = super().coarse_logits(images)
        finally:
            hook.remove()
        self.size_hw = tuple(logits.shape[2:])
        return logits

    def note(self, encoder: nn.Module, given: tuple, made: tuple) -> None:
        """Keep what the encoder has made of its images."""
        tokens, counts = made
        self.seen.append(tokens[-1].patch_groups())
        self.calls.append((given[0].shape, counts))

    def count_macs(self, size_hw: tuple[int, int], refined: None) -> dict[str, int]:
        """
        Size of an image -> multiply-accumulates, with as many tokens as the last images had left.

        Those of the comparison of tokens, below a hundredth, are left out. For images of another
        size than the last ones, no token merges: how many do is not known.
        """
        merging, counts = self.merging, self.network.token_counts
        is_known = self.calls and tuple(self.given[2:]) == tuple(size_hw)
        try:
            self.merging = None
            if not is_known:
                return super().count_macs(size_hw, refined)
            total = sum(shape[0] * self.count_call(shape, left) for shape, left in self.calls)
            return {'dense': total // self.given[0]}
        finally:
            self.merging, self.network.token_counts = merging, counts

    def count_call(self, shape: torch.Size, left: list[int]) -> int:
        """Count one image of this shape; left: tokens after each block."""
        self.network.encoder.merges = {layer: partial(keep_first, count=count)
                                       for layer, count in enumerate(left, start=1)}
        return count_module(self.network, 1, *shape[1:])

    def kept(self) -> float:
        """Return the fraction of tokens that were left in the end of the last images."""
        groups = torch.cat(self.seen)  # (windows B, rows, columns)
        return float((groups.amax((1, 2)) + 1).sum()) / groups.numel()

    def merged_map(self, size_hw: tuple[int, int]) -> Tensor:
        """
        Return which pixels of the last images share a token, (B, H, W) int32.

        0 where a patch has its own; else the number of the token, from 1. Tokens of different
        windows differ; where windows overlap, the last one counts.
        """
        whole = [(..., slice(0, self.size_hw[0]), slice(0, self.size_hw[1]))]
        places = self.windows.over(self.size_hw) if self.windows else whole
        by_window = torch.cat(self.seen).unflatten(0, (len(places), -1))
        canvas = by_window.new_zeros(by_window.shape[1], *self.size_hw)
        first = 0
        for inside, groups in zip(places, by_window):
            numbers = number_shared(groups)
            numbers = torch.where(numbers > 0, numbers + first, 0)
            first = max(first, int(numbers.max()))
            canvas[inside] = self.to_pixels(numbers, canvas[inside].shape[1:])
        return enlarge(canvas.double(), size_hw).int()

    def to_pixels(self, numbers: Tensor, size_hw: torch.Size) -> Tensor:
        """(B, rows, columns) of patches -> (B, H, W) of pixels, without those padded."""
        side = self.network.encoder.patch_size
        pixels = numbers.repeat_interleave(side, 1).repeat_interleave(side, 2)
        return pixels[:, :size_hw[0], :size_hw[1]]


def keep_first(tokens: Tokens, _: Tensor, count: int) -> Tokens:
    """Keep the first tokens, as many as count: the cost depends on nothing but their number."""
    values, (rows, columns) = tokens.values[:, :count], tokens.grid_hw
    groups = values.new_zeros((len(values), 1 + rows * columns), dtype=torch.int64)
    return replace(tokens, values=values, groups=groups)


def number_shared(groups: Tensor) -> Tensor:
    """(B, rows, columns) token of each patch -> 1 + token where several have it, else 0."""
    flat = groups.flatten(1)
    sizes = torch.zeros_like(flat).scatter_add(1, flat, torch.ones_like(flat))
    return torch.where(sizes.gather(1, flat) > 1, flat + 1, 0).unflatten(1, groups.shape[1:])
