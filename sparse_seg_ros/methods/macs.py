# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of dense modules: convolutions, linear layers and matrix products."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.networks import padded_size
from sparse_seg_ros.networks.images import shrunk_hw

Module = TypeVar('Module', bound=nn.Module)


def count_module(module: nn.Module, *shape: int) -> int:
    """Count those of a module on one tensor of this shape, without computing anything."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        on_meta(module)(torch.empty(shape, device='meta'))
    return counter.get_total_flops() // 2


@torch.inference_mode()
def on_meta(module: Module) -> Module:
    """Return a copy whose tensors have no values; others may run the module meanwhile."""
    weights = {id(tensor): torch.empty_like(tensor, device='meta')
               for tensor in (*module.parameters(), *module.buffers())}
    return deepcopy(module, weights)


def count_network(network: nn.Module, scale: float, size_hw: tuple[int, int]) -> int:
    """Count those of a network over an image of this size, shrunk and padded as it needs."""
    return count_module(network, 1, 3, *padded_size(network, shrunk_hw(size_hw, scale)))
