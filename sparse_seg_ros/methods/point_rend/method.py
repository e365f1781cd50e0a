# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
PointRend on one frame: the coarse logits doubled in size, again and again, and corrected.

PointRend, section 3.1. After each doubling the points with the smallest lead of the likeliest
class are predicted anew. It starts from the logits of the network's last features, before the
network enlarges them. The network only sees the shrunken image, as in SparseRefine's Table 3b.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.point_rend.head import PointHead
from sparse_seg_ros.methods.point_rend.maps import doublings, read_maps
from sparse_seg_ros.methods.point_rend.points import centres, most_doubtful
from sparse_seg_ros.methods.proper_scores import with_proper_scores
from sparse_seg_ros.methods.reading import enlarge, entropy_map, planes, read_logits
from sparse_seg_ros.methods.request import DEFAULTS, PROPER_SCORES, Limit, Limits, Request
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.images import shrink, size_of
from sparse_seg_ros.timing import Stopwatch

POINTS = 8096  # predicted anew after each doubling, in the paper, for 1024 x 2048 pixels
PAPER_PIXELS = 1024 * 2048


class PointRend:
    """A network over the shrunken image, and a PointHead where it is in doubt."""

    optional: tuple[str, ...] = ('confidence', PROPER_SCORES)
    needs_truth = False
    selector = 'entropy'
    convolves = False

    def __init__(self, network: Any, refiner: PointHead, scale: float = 0.5,
                 temperature: float = 1.0, points: int = POINTS):
        self.network, self.refiner = network, refiner
        self.scale, self.temperature = scale, temperature
        self.points = points

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Return False: within a frame constants are copied to the device."""
        return False

    def limits(self) -> Limits:
        """Return the limit of the budget; there is no threshold."""
        return {'budget': Limit(most=1.0, default=1.0)}

    def coarse_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w) of the dense stage."""
        return planes(run_padded(self.network, shrink(images, self.scale)))

    def scores(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, h, w) entropy in nats; no alpha is compared with it."""
        return entropy_map(self.coarse_logits(images))

    def full_logits(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, H, W), refined."""
        return self.render(images, request, Stopwatch(images.device))[0]

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput, refined where the network is in doubt."""
        logits, refined, points, is_cut = self.render(images, request, clock)
        with clock('label'):
            labels, uncertainty, confidence = read_logits(
                logits, self.temperature, 'confidence' in request.wants)
            output = MethodOutput(labels, uncertainty, refined, confidence, work=points,
                                  is_cut=is_cut)
            return with_proper_scores(output, request, clock, logits, self.temperature)

    def render(self, images: Tensor, request: Request, clock: Stopwatch
               ) -> tuple[Tensor, Tensor, int, bool]:
        """
        (B, 3, H, W) -> (B, C, H, W) logits, and (B, H, W) bool where they were predicted anew.

        Last, how many points of each image were, after all doublings, and whether the budget kept
        some out.
        """
        full_hw = size_of(images)
        with clock('dense'):
            maps = read_maps(self.network, shrink(images, self.scale))
        budget = request.fraction()
        budget = 1.0 if budget is None else budget
        sizes = doublings(maps.image_hw, maps.stride, full_hw)
        logits, refined, points = maps.coarse, images.new_zeros(len(images), 1, 1), 0
        counts = [self.count(size_hw, full_hw, len(sizes), budget) for size_hw in sizes]
        for step, size_hw in enumerate(sizes):
            with clock('select'):
                logits = F.interpolate(logits, size_hw, mode='bilinear') if step else \
                    maps.coarse_at(size_hw)
                positions = most_doubtful(logits, counts[step])
                refined = enlarge(refined, size_hw).flatten(1).scatter(1, positions, 1.0)
                refined = refined.unflatten(1, size_hw)
            points += positions.shape[1]
            if not positions.numel():  # of a small image
                continue
            with clock('extract'):
                said = self.refiner(*maps.at(centres(positions, size_hw))).float()  # (B, C, N)
                places = positions[:, None].expand_as(said)
                logits = logits.flatten(2).scatter(2, places, said).unflatten(2, size_hw)
        is_cut = counts != [self.count(size_hw, full_hw, len(sizes), 1.0) for size_hw in sizes]
        return logits, refined.bool(), points, is_cut

    def count(self, size_hw: tuple[int, int], full_hw: tuple[int, int], steps: int,
              budget: float) -> int:
        """Return how many points are predicted anew at this size, one of so many."""
        here, full = math.prod(size_hw), math.prod(full_hw)
        return min(round(self.points * full / PAPER_PIXELS), int(budget * here / steps))

    def count_macs(self, size_hw: tuple[int, int], refined: Tensor, work: int) -> dict[str, int]:
        """Size of an image, points that were predicted anew -> multiply-accumulates per stage."""
        return {'dense': count_network(self.network, self.scale, size_hw),
                'extract': work * self.refiner.macs_per_point()}
