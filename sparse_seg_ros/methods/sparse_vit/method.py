# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SparseViT on one frame: a network on a Swin transformer that leaves out windows."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.macs import count_module, count_network, on_meta
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_vit.windows import pruned_copy, pruned_stages
from sparse_seg_ros.networks import padded_size
from sparse_seg_ros.networks.images import shrunk_hw
from sparse_seg_ros.timing import Stopwatch

Counts = tuple[tuple[int, ...], ...]  # windows that were computed in each layer of each stage


@dataclass(frozen=True)
class Work:
    """What the network did for some images together."""

    images: int
    counts: Counts


class SparseViT(Dense):
    """A network on a Swin transformer; sparsities: the part of the windows each stage omits."""

    def __init__(self, network: nn.Module, sparsities: tuple[float, ...], scale: float = 1.0,
                 temperature: float = 1.0):
        super().__init__(pruned_copy(network, sparsities), scale, temperature)
        self.plain = network

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Return False: the host asks which windows are kept."""
        return False

    def segment(self, images: Tensor) -> tuple[Tensor, Counts]:
        """(B, 3, H, W) normalised -> (B, C, h, w) logits, and how much was computed for them."""
        counts, thread = [], get_ident()

        def keep(_: nn.Module, __: Any, output: tuple[Tensor, tuple[int, ...]]) -> None:
            if get_ident() == thread:  # others may run the same network meanwhile
                counts.append(output[1])

        with ExitStack() as hooks:
            for stage in pruned_stages(self.network):
                hooks.enter_context(stage.register_forward_hook(keep))
            return self.coarse_logits(images), tuple(counts)

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput without refined pixels."""
        with clock('dense'):
            logits, counts = self.segment(images)
        with clock('label'):
            output = self.read(logits, images.shape[-2:], request, clock)
        return replace(output, work=Work(len(images), counts))

    def count_macs(self, size_hw: tuple[int, int], refined: Any = None,
                   work: Work | None = None) -> dict[str, int]:
        """
        Size of an image -> multiply-accumulates, with the windows that were computed in `work`.

        Without work, those of the plain network.
        """
        if work is None:
            return {'dense': count_network(self.plain, self.scale, size_hw)}
        network = on_meta(self.network)
        for stage, counts in zip(pruned_stages(network), work.counts):
            stage.counts = counts
        low_hw = padded_size(network, shrunk_hw(size_hw, self.scale))
        return {'dense': count_module(network, work.images, 3, *low_hw) // work.images}
