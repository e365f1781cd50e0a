# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The memory that training a network takes at least, counted without computing anything.

What autograd saves in float32 for the way back, each storage once, and 16 bytes for each
parameter: its value, its gradient and the two moments of AdamW. Not counted are the loss, what the
libraries work in, and what lies idle in the allocator, all of which a GPU's own figure contains.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

BYTES_OF_A_PARAMETER = 16


def count_memory(build: Callable[[], nn.Module], images: tuple[int, int, int, int]) -> int:
    """Maker of a network, (B, 3, H, W) -> bytes."""
    with torch.device('meta'):
        network = build().train()
        batch = torch.empty(images)
    saved = saved_bytes(network, batch)
    return saved + BYTES_OF_A_PARAMETER * sum(weight.numel() for weight in network.parameters())


def saved_bytes(network: nn.Module, batch: Tensor) -> int:
    """Run a network on a batch -> bytes that autograd saves beside the parameters."""
    own = {weight.untyped_storage()._cdata for weight in network.parameters()}
    storages = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage  # alive, so that no other has its address
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(batch)
    return sum(storage.nbytes() for storage in storages.values())
