# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which pixels are refined: SparseRefine's entropy selector and those of its Table 5a.

A selector turns a Scene into (B, h, w) scores, at the size of the logits or of the image; pixels
above alpha are refined, and of those at most the budget, the highest first. What a score is, and
so what alpha means:

    entropy    nats, 0 to ln C
    random     uniform noise, 0 to 1: alpha = 1 - density. One pattern for every image of a size;
               another one in each training step
    magnitude  L2 norm of the network's last features / the largest in the image, 0 to 1
    learnable  probability of an error, 0 to 1, learnt beside the refinement
    oracle     1 where the label is wrong, else 0: any alpha below 1. At the size of the image

The paper thresholds or counts magnitudes in a way it does not give; the division is ours. It runs
the learnable selector at full size; here that sees the image at the size of the logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.reading import entropy_map
from sparse_seg_ros.methods.sparse_refine.selection import upsample
from sparse_seg_ros.networks.features import Features

SEED = 0  # of random selection outside training
EXPECTED_ERRORS = 0.05  # fraction of pixels: the first guess of a learnable selector


@dataclass(frozen=True)
class Scene:
    """
    The input of a refiner for a batch.

    image (B, 3, H, W) normalised; logits (B, C, h, w); features, and truth, (B, H, W) ids, are
    there if a part of the refiner needs them.
    """

    image: Tensor
    logits: Tensor
    features: Features | None = None
    truth: Tensor | None = None

    def require_features(self) -> Features:
        """Return the features; ValueError without."""
        if self.features is None:
            raise ValueError("this refiner needs the network's last features; take logits and "
                             'features from networks.features.run_with_features')
        return self.features

    def require_truth(self) -> Tensor:
        """Return the true labels; ValueError without."""
        if self.truth is None:
            raise ValueError('an oracle needs the labels of the image; it is for training and '
                             '`sparse_seg evaluate` only')
        return self.truth


class Selector(nn.Module):
    """Scene -> (B, h, w) scores. Built with the number of classes."""

    needs_features = needs_truth = False

    def __init__(self, num_classes: int):
        super().__init__()
        self.most = 1.0  # score that nothing exceeds: the end of alpha's range


class EntropySelector(Selector):
    """Entropy of the low-resolution prediction, in nats."""

    def __init__(self, num_classes: int):
        super().__init__(num_classes)
        self.most = math.log(num_classes)

    def forward(self, scene: Scene) -> Tensor:
        return entropy_map(scene.logits)


class RandomSelector(Selector):
    """Uniform noise, the same for every image of the batch."""

    def forward(self, scene: Scene) -> Tensor:
        batch, _, height, width = scene.logits.shape
        generator = None if self.training else torch.Generator().manual_seed(SEED)
        noise = torch.rand(height, width, generator=generator)
        return noise.to(scene.logits.device).expand(batch, -1, -1)


class MagnitudeSelector(Selector):
    """How large the network's last features are, compared with the largest of the image."""

    needs_features = True

    def forward(self, scene: Scene) -> Tensor:
        magnitude = scene.require_features().magnitude()
        return magnitude / magnitude.amax((1, 2), keepdim=True).clamp_min(1e-12)


class LearnableSelector(Selector):
    """Two convolutions of the image, then a perceptron of their features, logits and entropy."""

    def __init__(self, num_classes: int):
        """Start by expecting few errors everywhere, so that an untrained one selects little."""
        super().__init__(num_classes)
        self.look = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        last = nn.Conv2d(32, 1, 1)
        self.judge = nn.Sequential(nn.Conv2d(num_classes + 17, 32, 1), nn.ReLU(),
                                   nn.Conv2d(32, 32, 1), nn.ReLU(), last)
        weight, bias = last.parameters()
        nn.init.zeros_(weight)
        nn.init.constant_(bias, math.log(EXPECTED_ERRORS / (1 - EXPECTED_ERRORS)))

    def forward(self, scene: Scene) -> Tensor:
        image = F.interpolate(scene.image, scene.logits.shape[2:], mode='area')
        entropy = entropy_map(scene.logits)[:, None].to(scene.logits.dtype)
        seen = torch.cat((scene.logits, self.look(image), entropy), dim=1)  # (B, C + 17, h, w)
        return self.judge(seen)[:, 0].float().sigmoid()


class OracleSelector(Selector):
    """The pixels that the low-resolution prediction gets wrong; none where the label is void."""

    needs_truth = True

    def forward(self, scene: Scene) -> Tensor:
        return find_errors(scene.logits, scene.require_truth()).float()


def find_errors(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, C, h, w), (B, H, W) ids -> (B, H, W) bool: labelled, and predicted otherwise."""
    predicted = upsample(logits.argmax(1), labels.shape[1:])
    return (predicted != labels) & (labels != VOID)
