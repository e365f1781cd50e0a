# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
ALGM on one frame: a plain vision transformer that merges some of its tokens on the way.

Labels and uncertainty are read from the logits of all patches: each patch has the logits of the
token that stands for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.algm.patch import exits_of, merging_copy
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.reading import enlarge
from sparse_seg_ros.methods.request import OPTIONAL, PROPER_SCORES, Request
from sparse_seg_ros.networks.images import size_of
from sparse_seg_ros.networks.sliding import Windows
from sparse_seg_ros.networks.vit.segmenter_vit import Groups, SegmenterViT
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.timing import Stopwatch


class Call(NamedTuple):
    """Images that went through the encoder together: numbers of their patches and tokens."""

    images: int
    grid_hw: tuple[int, int]  # of patches
    counts: tuple[int, ...]  # of the tokens that entered each block's perceptron, of one image


@dataclass(frozen=True)
class Work:
    """What the encoder did for some images of this size."""

    size_hw: tuple[int, int]
    images: int
    calls: tuple[Call, ...]

    def kept(self) -> float:
        """Return the fraction of tokens that were left in the end, without the class's."""
        left = sum(call.images * (call.counts[-1] - 1) for call in self.calls)
        return left / sum(call.images * math.prod(call.grid_hw) for call in self.calls)


class Algm(Dense):
    """A Segmenter, SETR or SegViT that merges tokens, over the whole image or in windows."""

    optional = (*OPTIONAL, PROPER_SCORES)
    network: SegmenterViT

    def __init__(self, network: nn.Module, merging: Merging | None, scale: float = 1.0,
                 temperature: float = 1.0, windows: Windows | None = None):
        self.merging = merging  # how tokens merge; None: they do not
        super().__init__(merging_copy(network, merging), scale, temperature, windows)

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Return False: the image decides how many tokens merge."""
        return False

    def with_merging(self, merging: Merging | None) -> Algm:
        """Return the method with the same weights, whose tokens merge in another way."""
        return Algm(self.network, merging, self.scale, self.temperature, self.windows)

    def segment(self, images: Tensor) -> tuple[Tensor, list[Groups]]:
        """(B, 3, H, W) normalised -> (B, C, h, w) of all patches, and what merged, by call."""
        groups: list[Groups] = []

        def call(padded: Tensor) -> Tensor:
            logits, more = self.network.with_groups(padded)
            groups.extend(more)
            return logits

        return self.coarse_logits(images, call), groups

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput, with a map of what merged if it is wanted."""
        with clock('dense'):
            logits, groups = self.segment(images)
        with clock('label'):
            output = self.read(logits, images.shape[-2:], request, clock)
            low_hw, size_hw = size_of(logits), size_of(images)
            merged = None
            if 'merged' in request.wants:
                merged = enlarge(self.map_of(groups, low_hw).double(), size_hw).int()
        return replace(output, merged=merged, work=work_of(groups, images))

    def count_macs(self, size_hw: tuple[int, int], refined: Any = None,
                   work: Work | None = None) -> dict[str, int]:
        """
        Size of an image -> multiply-accumulates, with as many tokens as were left in `work`.

        Those of the comparison of tokens, for ALGM below a hundredth, are left out. Without work,
        of an image in which no token merges.
        """
        if work is None:
            return Dense.count_macs(self.with_merging(None), size_hw)
        if work.size_hw != tuple(size_hw):
            raise ValueError(f'work must be that of images of {tuple(size_hw)}, got that of '
                             f'{work.size_hw}')
        return {'dense': sum(map(self.count_call, work.calls)) // work.images}

    def count_call(self, call: Call) -> int:
        """Count a call of the encoder, with as many tokens left after each block."""
        network = merging_copy(self.network, None)
        network.encoder.merges = {layer: partial(keep_first, count=count)
                                  for layer, count in enumerate(call.counts, start=1)}
        exits = exits_of(self.network, self.merging) if self.merging else {}
        network.encoder.exits = {layer: partial(each.keep_first, count=call.counts[layer])
                                 for layer, each in exits.items()}
        network.encoder.embedding = self.network.encoder.embedding
        network.encoder.restores = self.network.encoder.restores
        sides = (side * network.encoder.patch_size for side in call.grid_hw)
        return call.images * count_module(network, 1, 3, *sides)

    def map_of(self, calls: list[Groups], size_hw: tuple[int, int]) -> Tensor:
        """
        Return which pixels of the shrunken images share a token, (B, h, w).

        0 where a patch has its own; else the number of the token, from 1. Tokens of different
        windows differ; where windows overlap, the last one counts.
        """
        whole = [(..., slice(0, size_hw[0]), slice(0, size_hw[1]))]
        places = self.windows.over(size_hw) if self.windows else whole
        by_window = torch.cat([call.of_patches for call in calls]).unflatten(0, (len(places), -1))
        canvas = by_window.new_zeros(by_window.shape[1], *size_hw)
        first = 0
        for inside, groups in zip(places, by_window):
            numbers = number_shared(groups)
            numbers = torch.where(numbers > 0, numbers + first, 0)
            first = max(first, int(numbers.max()))
            canvas[inside] = self.to_pixels(numbers, canvas[inside].shape[1:])
        return canvas

    def to_pixels(self, numbers: Tensor, size_hw: torch.Size) -> Tensor:
        """(B, rows, columns) of patches -> (B, H, W) of pixels, without those padded."""
        side = self.network.encoder.patch_size
        pixels = numbers.repeat_interleave(side, 1).repeat_interleave(side, 2)
        return pixels[:, :size_hw[0], :size_hw[1]]


def work_of(calls: list[Groups], images: Tensor) -> Work:
    """Return the numbers that `count_macs` needs."""
    return Work(size_of(images), len(images), tuple(
        Call(len(call.of_patches), size_of(call.of_patches), tuple(call.counts))
        for call in calls))


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
