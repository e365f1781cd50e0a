# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A method without weights in a real Segmenter, and images to feed it."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import OPTIONAL, Limit
from sparse_seg_ros.segmenter import Segmenter

LN_2 = 0.6931
LABELS = LabelSet('two', ('dark', 'bright'), ((10, 20, 30), (200, 100, 50)))


class Brightness:
    """Class 1 where a pixel is bright, uncertain near the border of both, refined where unsure."""

    optional, needs_truth = OPTIONAL, False

    def __init__(self, alpha: float | None = 0.3, milliseconds: float = 0.0):
        self.alpha, self.milliseconds = alpha, milliseconds

    def has_static_shapes(self, device, request):
        """Return that images decide what they cost."""
        return False

    def limits(self):
        """Return those of the threshold, if there is one, and of the budget."""
        return {} if self.alpha is None else {'alpha': Limit(math.log(2), self.alpha, 'nats'),
                                              'budget': Limit(1.0, 1.0)}

    def __call__(self, images, request, clock):
        """(1, 3, H, W) in -1..1 -> MethodOutput."""
        with clock('dense'):
            time.sleep(self.milliseconds / 1e3)
            if bool((images[0, :, 0, 0] == 1).all()):
                raise RuntimeError('the first pixel is white')
            level = images[:, 1]  # green, (1, H, W)
            uncertainty = (1 - level.abs()).clamp(0, 1)
            alpha = self.alpha if request.alpha is None else request.alpha
            refined = None if self.alpha is None else uncertainty * LN_2 > alpha
        merged = torch.zeros(level.shape, dtype=torch.int32)
        merged[:, :level.shape[1] // 2] = 1  # the upper half shares a token
        made = {'confidence': 1 - uncertainty / 2, 'merged': merged}
        return MethodOutput((level > 0).to(torch.uint8), uncertainty, refined,
                            **{name: made[name] for name in request.wants})


def make_segmenter(alpha: float | None = 0.3, milliseconds: float = 0.0) -> Segmenter:
    """Return a Segmenter around Brightness."""
    return Segmenter(Brightness(alpha, milliseconds), LABELS, (127.5,) * 3, (127.5,) * 3,
                     description={'model': 'brightness'})


def make_image(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB, smooth enough for JPEG, its first pixel black."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    image = coarse.repeat(8, 0).repeat(8, 1)[:height, :width].copy()
    image[0, 0] = 0
    return image
