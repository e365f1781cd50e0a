# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
ALGM on one frame: a plain vision transformer some of whose tokens merge on the way.

Labels and uncertainty are read from the logits of all patches, after tokens are given back to the
patches they stand for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.algm.patch import merging_copy
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.methods.dense import Dense, enlarge
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import OPTIONAL, Request
from sparse_seg_ros.networks.sliding import Windows
from sparse_seg_ros.networks.vit.segmenter_vit import Groups
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.timing import Stopwatch


@dataclass(frozen=True)
class Merged:
    """What merged in B images: the tokens of each call of the encoder, window by window."""

    groups: tuple[Groups, ...]
    size_hw: tuple[int, int]  # of the images at scale
    images: int

    def kept(self) -> float:
        """Return the fraction of tokens that were left in the end."""
        of_patches = self.of_patches()
        return float((of_patches.amax((1, 2)) + 1).sum()) / of_patches.numel()

    def of_patches(self) -> Tensor:
        """(windows B, rows, columns) token of each patch."""
        return torch.cat([group.of_patches for group in self.groups])


class Algm(Dense):
    """A Segmenter, SETR or SegViT that merges tokens, over the whole image or in windows."""

    optional = OPTIONAL

    def __init__(self, network: nn.Module, merging: Merging | None, scale: float = 1.0,
                 temperature: float = 1.0, windows: Windows | None = None):
        self.merging = merging  # how tokens merge; None: they do not
        super().__init__(merging_copy(network, merging), scale, temperature, windows)

    def merging_as(self, merging: Merging | None) -> Algm:
        """Return the method with the same weights, whose tokens merge in another way."""
        return Algm(self.network, merging, self.scale, self.temperature, self.windows)

    def segment(self, images: Tensor) -> tuple[Tensor, Merged]:
        """(B, 3, H, W) normalised -> (B, C, h, w) of all patches, and what merged."""
        groups: list[Groups] = []

        def call(padded: Tensor) -> Tensor:
            logits, more = self.network.with_groups(padded)
            groups.extend(more)
            return logits

        logits = self.coarse_logits(images, call)
        return logits, Merged(tuple(groups), tuple(logits.shape[2:]), len(images))

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput, with a map of what merged if it is wanted."""
        with clock('dense'):
            logits, merged = self.segment(images)
        with clock('label'):
            output = self.read(logits, images.shape[-2:], request)
        return replace(output, work=merged, merged=self.map_of(merged, tuple(images.shape[-2:]))
                       if 'merged' in request.wants else None)

    def count_macs(self, size_hw: tuple[int, int], refined: None = None,
                   work: Merged | None = None) -> dict[str, int]:
        """
        Size of an image -> multiply-accumulates, with as many tokens as were left in `work`.

        Those of the comparison of tokens, below a hundredth, are left out. Without work, of an
        image of that size in which no token merges.
        """
        if work is None:
            return super(Algm, self.merging_as(None)).count_macs(size_hw)
        total = sum(self.count_call(group) for group in work.groups)
        return {'dense': total // work.images}

    def count_call(self, group: Groups) -> int:
        """Count a call of the encoder, with as many tokens left after each block."""
        network = merging_copy(self.network, None)
        network.encoder.merges = {layer: partial(keep_first, count=count)
                                  for layer, count in enumerate(group.counts, start=1)}
        images, *patches = group.of_patches.shape
        sides = (side * network.encoder.patch_size for side in patches)
        return images * count_module(network, 1, 3, *sides)

    def map_of(self, merged: Merged, size_hw: tuple[int, int]) -> Tensor:
        """
        Return which pixels share a token, (B, H, W) int32.

        0 where a patch has its own; else the number of the token, from 1. Tokens of different
        windows differ; where windows overlap, the last one counts.
        """
        whole = [(..., slice(0, merged.size_hw[0]), slice(0, merged.size_hw[1]))]
        places = self.windows.over(merged.size_hw) if self.windows else whole
        by_window = merged.of_patches().unflatten(0, (len(places), -1))
        canvas = by_window.new_zeros(by_window.shape[1], *merged.size_hw)
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
