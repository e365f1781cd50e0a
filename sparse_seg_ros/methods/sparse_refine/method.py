# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SparseRefine on one frame: dense at low resolution, then sparse at full resolution.

The dense logits never become large: labels and entropy are taken at the low resolution, enlarged
by nearest neighbour, and overwritten at the refined pixels, which is exact. A refiner with the
extractor 'network' sees twice the low resolution, which is less than the image below scale 1/2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.proper_scores import with_proper_scores
from sparse_seg_ros.methods.reading import (
    Reading,
    bands,
    best_class,
    enlarge,
    kernels_for,
    planes,
    read_both,
    read_logits,
    refined_reading,
)
from sparse_seg_ros.methods.request import DEFAULTS, PROPER_SCORES, Limit, Limits, Request
from sparse_seg_ros.methods.sparse_refine.blocks import sites_of
from sparse_seg_ros.methods.sparse_refine.cost import count_macs
from sparse_seg_ros.methods.sparse_refine.refiner import Refinement, SparseRefiner
from sparse_seg_ros.methods.sparse_refine.selector import Scene
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.features import Features, run_with_features
from sparse_seg_ros.networks.images import shrink, shrunk_hw, size_of
from sparse_seg_ros.timing import Stopwatch


class SparseRefine:
    """A network over the shrunken image and a SparseRefiner over what it is unsure of."""

    optional: tuple[str, ...] = ('confidence', PROPER_SCORES)

    def __init__(self, network: Any, refiner: SparseRefiner, scale: float = 0.5,
                 temperature: float = 1.0):
        if getattr(refiner, 'is_network', False) and scale > 0.5:
            raise ValueError("extractor 'network' sees twice what its network sees, so 'scale' "
                             f'must be at most 0.5, got {scale:g}')
        self.network, self.refiner = network, refiner
        self.scale, self.temperature = scale, temperature

    @property
    def selector(self) -> str:
        """Name of what alpha is a score of."""
        return self.refiner.parts.selector

    @property
    def convolves(self) -> bool:
        """True unless the extractor sees every pixel alone."""
        return self.refiner.parts.convolves

    @property
    def needs_truth(self) -> bool:
        """True if a part is an oracle."""
        return self.refiner.needs_truth

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Return whether the budget alone decides the shapes."""
        return self.refiner.has_static_shapes(device, request)

    def limits(self) -> Limits:
        """Return the limits of the selector's score and of the refined fraction."""
        unit = 'nats' if self.selector == 'entropy' else ''
        return {'alpha': Limit(self.refiner.selector.most, self.refiner.alpha, unit),
                'budget': Limit(most=1.0, default=1.0)}

    def coarse_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w) of the dense stage."""
        return planes(run_padded(self.network, shrink(images, self.scale)))

    def coarse(self, images: Tensor) -> tuple[Tensor, Features | None]:
        """(B, 3, H, W) normalised -> (B, C, h, w), and last features where they are needed."""
        if not self.refiner.needs_features:
            return self.coarse_logits(images), None
        logits, features = run_with_features(self.network, shrink(images, self.scale))
        return planes(logits), features

    def scores(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, h, w) what is compared with alpha."""
        logits, features = self.coarse(images)
        return self.refiner.selector(Scene(images, logits, features, request.truth))

    def full_logits(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, H, W), refined. Large: for calibration only."""
        logits, features = self.coarse(images)
        image, truth = self.refiner_input(images, request.truth, size_of(logits))
        seen = self.refiner(image, logits, features=features,
                            request=replace(request, truth=truth), full_hw=size_of(images))
        return F.interpolate(seen.full(), images.shape[2:], mode='nearest')

    def refiner_input(self, images: Tensor, labels: Tensor | None,
                      low_hw: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """(B, 3, H, W), (B, H, W) or None, low resolution's size -> as the refiner sees them."""
        full_hw = size_of(images)
        size_hw = self.refiner.input_hw(low_hw, full_hw)
        if size_hw == full_hw:
            return images, labels
        is_odd = all(abs(side - full) <= 1 for side, full in zip(size_hw, full_hw))
        images = F.interpolate(images, size_hw, mode='nearest' if is_odd else 'area')
        return images, None if labels is None else enlarge(labels, size_hw)

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput, refined where the score is above alpha."""
        with clock('dense'):
            logits, features = self.coarse(images)
            image, truth = self.refiner_input(images, request.truth, size_of(logits))
        seen = self.refiner(image, logits, clock, features, replace(request, truth=truth),
                            size_of(images))
        with clock('label'):
            labels, uncertainty, confidence = self.read(logits, seen,
                                                        'confidence' in request.wants)
            fine_labels = labels
            labels, uncertainty, selected = (enlarge(part, images.shape[-2:]) for part in
                                             (labels, uncertainty, seen.selected))
            output = MethodOutput(labels, uncertainty, selected, None if confidence is None else
                                  enlarge(confidence, images.shape[-2:]), is_cut=seen.is_cut)
            return with_proper_scores(output, request, clock, logits, self.temperature,
                                      (seen.ensembled, seen.flat, fine_labels))

    def read(self, logits: Tensor, seen: Refinement, wants_confidence: bool) -> Reading:
        """(B, C, h, w), what the refiner says -> labels and so on, (B, H, W) as it sees them."""
        if kernels_for('result', logits):
            return read_both(logits, seen.ensembled, seen.flat, seen.selected, self.temperature,
                             wants_confidence)
        low = self.read_low(logits, seen.scores, wants_confidence)
        return refined_reading(low, seen.ensembled, seen.flat, seen.selected.shape[1:],
                               self.temperature, seen.is_padded)

    def read_low(self, logits: Tensor, scores: Tensor, wants_confidence: bool) -> Reading:
        """
        (B, C, h, w), (B, h, w) of the selector -> what `read_logits` says of them.

        The entropy is known where that is what the selector scores, and no temperature changes it.
        """
        if self.selector != 'entropy' or self.temperature != 1:
            return read_logits(logits, self.temperature, wants_confidence)
        uncertainty = (scores / self.refiner.selector.most).clamp(0, 1)
        if wants_confidence:
            labels, _, confidence = read_logits(logits, 1.0, wants_confidence)
            return labels, uncertainty, confidence
        labels = torch.cat([best_class(band)[1] for band in bands(logits)], dim=1)
        return labels, uncertainty, None

    def count_macs(self, size_hw: tuple[int, int], refined: Tensor,
                   work: None = None) -> dict[str, int]:
        """Size of an image, (B, H, W) bool -> multiply-accumulates per stage."""
        low_hw = shrunk_hw(size_hw, self.scale)
        if (seen_hw := self.refiner.input_hw(low_hw, size_hw)) != size_hw:
            refined = enlarge(sites_of(refined, low_hw), seen_hw)
        return {'dense': count_network(self.network, self.scale, size_hw),
                **count_macs(self.refiner, refined)}
