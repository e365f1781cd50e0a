# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a network has and costs, counted without numbers in it."""

from __future__ import annotations

import functools

import torch
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks import build_network


@functools.cache
def shapes_only(name, num_classes=150):
    """Return a network without numbers in it: for what depends on shapes alone."""
    with torch.device('meta'):
        return build_network(name, num_classes).eval().to('meta')  # transformers forgets one


def count_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(network, height, width):
    """Return multiply-adds of convolutions and matrix products, in 1e9: of modules, by name."""
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, height, width, device='meta'))
    return {name: sum(flops.values()) / 2e9 for name, flops in counter.get_flop_counts().items()}


def released_shapes(module):
    """Return the shape of every tensor of a module, by its published name."""
    tensors = module.state_dict()
    return {released: tuple(tensors[key].shape)
            for released, key in checkpoints.released_keys(module).items()}
