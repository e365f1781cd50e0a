# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Files of weights that would become far larger in memory than they are.

torch.save stores tensors as they are. A file whose parts are compressed, or whose tensors repeat a
few numbers without end, can claim terabytes in some hundred bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


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
