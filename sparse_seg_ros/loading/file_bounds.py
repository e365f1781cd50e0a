# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Files of weights that would become far larger in memory than they are.

torch.save stores tensors as they are. A file whose parts are compressed, or whose tensors repeat a
few numbers without end, can claim terabytes in some hundred bytes. The sizes that a model card
names can, too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

SPARE = 2 ** 20  # numbers that a network may compute beside those in its file


def refuse_compressed(path: Path) -> None:
    """Raise ValueError for a zip file that holds more than its own size."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        claimed = sum(part.file_size for part in archive.infolist())
    size = path.stat().st_size
    if claimed > size:
        raise ValueError(f'{path}: must hold its tensors as torch.save writes them, got '
                         f'{size} bytes that unpack to {claimed}; save the state_dict again')


def refuse_repeated(tensors: Mapping[Any, Any], path: Path) -> None:
    """Raise ValueError for a tensor with more bytes than its whole file."""
    size = path.stat().st_size
    for name, tensor in tensors.items():
        if torch.is_tensor(tensor) and tensor.numel() * tensor.element_size() > size:
            raise ValueError(f'{path}: {name!r} must have its own numbers, got '
                             f'{tuple(tensor.shape)} in a file of {size} bytes; save the '
                             'state_dict again, without expanded tensors')


class Counted(TorchDispatchMode):
    """Inside, OversizeError is raised once more numbers are made than there may be."""

    def __init__(self, most: int):
        super().__init__()
        self.left = most

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None
                           ) -> Any:
        made = function(*args, **(kwargs or {}))
        if torch.is_tensor(made) and not any(map(torch.is_tensor, args)):
            self.left -= made.numel()
            if self.left < 0:
                raise OversizeError
        return made


class OversizeError(Exception):
    """More numbers than there may be; no ValueError, which a network may catch itself."""


def refuse_oversize(build: Callable[[], Any], tensors: Mapping[str, torch.Tensor], path: Path
                    ) -> None:
    """Build a network without memory; ValueError if it has far more numbers than its tensors."""
    held = sum(tensor.numel() for tensor in tensors.values())
    try:
        with torch.device('meta'), Counted(2 * held + SPARE):
            build()
    except OversizeError:
        raise ValueError(f'{path}: its model card must describe a network of the {held} numbers '
                         'in the file, got a far larger one; export the model again') from None
