# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PatchRefine on one frame: as SparseRefine, but it refines whole patches, densely."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.macs import count_module, count_network
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.patch_refine.patches import mean_per_patch
from sparse_seg_ros.methods.patch_refine.refiner import PatchRefiner
from sparse_seg_ros.methods.proper_scores import with_proper_scores
from sparse_seg_ros.methods.reading import planes, read_both
from sparse_seg_ros.methods.request import DEFAULTS, PROPER_SCORES, Limit, Limits, Request
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.images import shrink, size_of
from sparse_seg_ros.timing import Stopwatch


class PatchRefine:
    """A network over the shrunken image and a PatchRefiner where that is most unsure."""

    optional: tuple[str, ...] = ('confidence', PROPER_SCORES)
    selector = 'patches'  # what alpha is a score of: their mean entropy, not that of pixels
    needs_truth = False
    convolves = False

    def __init__(self, network: Any, refiner: PatchRefiner, scale: float = 0.5,
                 temperature: float = 1.0):
        self.network, self.refiner = network, refiner
        self.scale, self.temperature = scale, temperature

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Return False: the image decides how many patches are refined."""
        return False

    def limits(self) -> Limits:
        """Return the limits of the mean entropy of a patch and of the refined fraction."""
        return {'alpha': Limit(math.log(self.refiner.num_classes), self.refiner.alpha, 'nats'),
                'budget': Limit(most=1.0, default=1.0)}

    def coarse_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w) of the dense stage."""
        return planes(run_padded(self.network, shrink(images, self.scale)))

    def scores(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, H, W) what is compared with alpha, of the patch."""
        size_hw, side = size_of(images), self.refiner.patch
        means = self.refiner.scores(self.coarse_logits(images), size_hw)
        spread = means.repeat_interleave(side, 1).repeat_interleave(side, 2)
        return spread[:, :size_hw[0], :size_hw[1]]

    def full_logits(self, images: Tensor, request: Request = DEFAULTS) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, H, W), refined. Large: for calibration only."""
        logits = self.coarse_logits(images)
        seen = self.refiner(images, logits, request=request)
        pixels = F.interpolate(logits, images.shape[-2:], mode='nearest').movedim(1, -1)
        flat = pixels.reshape(-1, logits.shape[1])  # (B * H * W, C)
        flat = flat.index_put((seen.positions,), seen.ensembled.to(flat.dtype))
        return flat.view(pixels.shape).movedim(-1, 1)

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput, refined in patches unsure beyond alpha."""
        with clock('dense'):
            logits = self.coarse_logits(images)
        seen = self.refiner(images, logits, clock, request)
        with clock('label'):
            labels, uncertainty, confidence = read_both(
                logits, seen.ensembled, seen.positions, seen.selected, self.temperature,
                'confidence' in request.wants)
            output = MethodOutput(labels, uncertainty, seen.selected, confidence,
                                  is_cut=seen.is_cut)
            return with_proper_scores(output, request, clock, logits, self.temperature,
                                      (seen.ensembled, seen.positions, labels))

    def count_macs(self, size_hw: tuple[int, int], refined: Tensor,
                   work: None = None) -> dict[str, int]:
        """Size of an image, (B, H, W) bool -> multiply-accumulates per stage."""
        refiner, side = self.refiner, self.refiner.patch
        patches = int(mean_per_patch(refined.float(), side).sum())
        channels = refiner.unet.stem.in_channels
        per_patch = count_module(refiner.unet, 1, channels, side, side) \
            + refiner.head.weight.numel() * side ** 2
        per_pixel = sum(weight.numel() for weight in refiner.ensembler.parameters()
                        if weight.ndim == 2)
        return {'dense': count_network(self.network, self.scale, size_hw),
                'extract': patches * per_patch, 'ensemble': int(refined.sum()) * per_pixel}
