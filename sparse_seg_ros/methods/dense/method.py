# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network once over the image, at one scale of its size: over all of it, or in windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.proper_scores import with_proper_scores
from sparse_seg_ros.methods.reading import enlarge, entropy_map, planes, read_logits
from sparse_seg_ros.methods.request import (
    DEFAULTS,
    NO_LIMITS,
    PROPER_SCORES,
    Limits,
    Request,
)
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.images import shrink, shrunk_hw
from sparse_seg_ros.networks.sliding import Windows, run_sliding
from sparse_seg_ros.timing import Stopwatch


class Dense:
    """Logits at scale x image size; labels and entropy go to full size by nearest neighbour."""

    optional: tuple[str, ...] = ('confidence', PROPER_SCORES)
    network: Any  # or the engines in its place
    needs_truth = False
    refiner: nn.Module | None = None
    selector = 'entropy'
    convolves = False

    def __init__(self, network: Any, scale: float = 1.0, temperature: float = 1.0,
                 windows: Windows | None = None):
        self.network, self.scale, self.temperature = network, scale, temperature
        self.windows = windows
        if windows is not None:
            windows.check(self.network.multiple)

    def coarse_logits(self, images: Tensor,
                      call: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w); call: to run in the network's place."""
        small = shrink(images, self.scale)
        if self.windows is None:
            return planes(run_padded(self.network, small, call))
        return planes(run_sliding(self.network, small, self.windows, call))

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Return whether no truth is compared with."""
        return request.truth is None

    def limits(self) -> Limits:
        """Return no limits: nothing is refined."""
        return NO_LIMITS

    def scores(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, h, w) entropy in nats; no alpha is compared with it."""
        return entropy_map(self.coarse_logits(images))

    def full_logits(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, H, W). Large: for calibration only."""
        return F.interpolate(self.coarse_logits(images), images.shape[-2:], mode='nearest')

    def count_macs(self, size_hw: tuple[int, int], refined: Any = None,
                   work: Any = None) -> dict[str, int]:
        """Size of an image -> multiply-accumulates per stage, over all windows."""
        if self.windows is None:
            return {'dense': count_network(self.network, self.scale, size_hw)}
        count = self.windows.count_over(shrunk_hw(size_hw, self.scale))
        return {'dense': count * count_network(self.network, 1.0, self.windows.size_hw)}

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput without refined pixels."""
        with clock('dense'):
            logits = self.coarse_logits(images)
        with clock('label'):
            return self.read(logits, images.shape[-2:], request, clock)

    def read(self, logits: Tensor, size_hw: tuple[int, ...], request: Request,
             clock: Stopwatch) -> MethodOutput:
        """(B, C, h, w), and the size of the images -> MethodOutput of that size."""
        labels, uncertainty, confidence = read_logits(
            logits, self.temperature, 'confidence' in request.wants)
        output = MethodOutput(enlarge(labels, size_hw), enlarge(uncertainty, size_hw), None,
                              None if confidence is None else enlarge(confidence, size_hw))
        return with_proper_scores(output, request, clock, logits, self.temperature)
