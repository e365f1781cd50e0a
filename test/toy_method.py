# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A method from outside of the package: all that one has to write, and nothing is registered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.frozen import FrozenObjective
from sparse_seg_ros.methods.kind import Kind, RefiningConfig
from sparse_seg_ros.methods.losses import mean_cross_entropy
from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.reading import entropy_map, read_logits
from sparse_seg_ros.methods.request import DEFAULTS, Limit
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.images import shrink


@dataclass(frozen=True)
class ToyConfig(RefiningConfig):
    """Settings of the toy."""

    boost: float = setting(1.0, 'weight of what the refiner says', at_least=0.0)


class Toy:
    """A network over the shrunken image, and a 1x1 convolution in the upper rows of the image."""

    optional, needs_truth, selector, convolves = (), False, 'entropy', False

    def __init__(self, network, refiner, config):
        self.network, self.refiner, self.config = network, refiner, config
        self.scale, self.temperature = config.scale, config.temperature

    def has_static_shapes(self, device, request):
        return True

    def limits(self):
        return {'budget': Limit(most=1.0, default=0.5)}

    def coarse_logits(self, images):
        return run_padded(self.network, shrink(images, self.scale)).float()

    def scores(self, images, request=DEFAULTS):
        return entropy_map(self.coarse_logits(images))

    def full_logits(self, images, request=DEFAULTS):
        return self.look(images, request)[0]

    def look(self, images, request):
        logits = F.interpolate(self.coarse_logits(images), images.shape[2:], mode='nearest')
        budget = request.fraction()  # decided when the dense stage is done
        budget = 0.5 if budget is None else budget
        refined = torch.zeros(images[:, 0].shape, dtype=torch.bool)
        refined[:, :int(budget * images.shape[2])] = True
        return logits + self.config.boost * self.refiner(images) * refined[:, None], refined

    def __call__(self, images, request, clock):
        with clock('dense'):
            logits, refined = self.look(images, request)
        labels, uncertainty, _ = read_logits(logits, self.temperature, False)
        return MethodOutput(labels, uncertainty, refined)

    def count_macs(self, size_hw, refined, work=None):
        return {'dense': count_network(self.network, self.scale, size_hw)}


class ToyObjective(FrozenObjective):
    """Cross entropy of what the refiner says."""

    def forward(self, images, labels, sources):
        return mean_cross_entropy(self.trained(images), labels.long(), self.class_weights)


def build(model, config):
    """Put network and refiner under the method."""
    return Toy(model.network, model.refiner, config)


def build_refiner(card, network):
    """Return the refiner, untrained."""
    return nn.Conv2d(3, len(card.classes), 1)


KIND = Kind(ToyConfig, build, build_refiner, 'toy', ToyObjective)
