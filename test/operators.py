# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which operators of torch run, which of them make a GPU's host wait, and the shapes they make."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# All but the last read a value, or find out how many there are. The last one makes a tensor of
# numbers of Python: a copy to the device, for which the host waits.
WAITING = {'_local_scalar_dense', 'item', 'is_nonzero', 'equal', 'allclose', 'nonzero',
           'nonzero_numpy', 'argwhere', 'masked_select', 'unique', '_unique', '_unique2',
           'unique_dim', 'unique_consecutive', 'bincount', 'lift_fresh'}
INDEXED = {'index', 'index_put', 'index_put_', '_index_put_impl_'}


class Operators(TorchDispatchMode):
    """Collects, while it is on, what has run: `with Operators() as ran: ...`."""

    def __init__(self):
        super().__init__()
        self.waiting: list[str] = []  # the operators that make the host wait
        self.shapes: list[tuple] = []  # name of each operator and shapes of what it made, in order

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        results = tensors_of(made)
        devices = {tensor.device for tensor in results + tensors_of(args)}
        if waits(name, args) or len(devices) > 1:
            self.waiting.append(name)
        self.shapes.append((name, *(result.shape for result in results)))
        return made


def waits(name: str, args: tuple) -> bool:
    """Tell whether an operator must know a value before it can go on."""
    if name in INDEXED:
        return any(index is not None and index.dtype in (torch.bool, torch.uint8)
                   for index in args[1])
    return name in WAITING


def tensors_of(value) -> list[Tensor]:
    """Return the tensors in an argument or a result."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors_of(part)]
    return []
