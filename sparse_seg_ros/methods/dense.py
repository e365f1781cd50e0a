# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network once over the whole image, at one scale of its size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.reading import read_logits
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.timing import Stopwatch


class Dense:
    """Logits at scale x image size; labels and entropy go to full size by nearest neighbour."""

    alpha = budget = None

    def __init__(self, network: nn.Module, scale: float = 1.0, temperature: float = 1.0):
        self.network, self.scale, self.temperature = network, scale, temperature

    def coarse_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w)."""
        return run_padded(self.network, shrink(images, self.scale)).float()

    def full_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, H, W). Large: for calibration only."""
        return F.interpolate(self.coarse_logits(images), images.shape[-2:], mode='nearest')

    def __call__(self, images: Tensor, clock: Stopwatch, wants_confidence: bool) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput without refined pixels."""
        with clock('dense'):
            logits = self.coarse_logits(images)
        with clock('label'):
            labels, uncertainty, confidence = read_logits(
                logits, self.temperature, wants_confidence)
            size = images.shape[-2:]
            return MethodOutput(enlarge(labels, size), enlarge(uncertainty, size), None,
                                None if confidence is None else enlarge(confidence, size))


def shrink(images: Tensor, scale: float) -> Tensor:
    """(B, 3, H, W) -> (B, 3, round(scale H), round(scale W)), averaging the pixels covered."""
    if scale == 1:
        return images
    return F.interpolate(images, size=shrunken_size(images.shape[-2:], scale), mode='area')


def shrunken_size(size_hw: tuple[int, ...], scale: float) -> tuple[int, int]:
    """Size of an image -> of what the network sees of it."""
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width


def enlarge(values: Tensor, size_hw: torch.Size) -> Tensor:
    """(B, h, w) -> (B, H, W) by nearest neighbour."""
    if values.shape[1:] == size_hw:
        return values
    return F.interpolate(values.unsqueeze(1), size=size_hw, mode='nearest').squeeze(1)
