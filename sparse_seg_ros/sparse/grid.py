# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where active pixels stand in an image, and how their rows are looked up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """
    Where the active pixels stand.

    mask: (B, H, W) bool. index_map: of its Level; inactive: what it says of an inactive pixel, the
    number of active ones. The Level itself is not held: only the garbage collector would free it.
    """

    mask: Tensor
    index_map: Tensor
    inactive: int


def window(height: int, width: int, pitch: int, device: torch.device) -> Tensor:
    """
    Return (width * height,) int64 steps from the corner of a window to its places, by columns.

    pitch: distance between the rows of the map. They are made on the device: a list of numbers
    would be copied there, and the host would wait for the copy.
    """
    columns = torch.arange(width, device=device)
    return (columns[:, None] + torch.arange(height, device=device) * pitch).flatten()


def look_up(index_map: Tensor, corners: Tensor, steps: Tensor) -> Tensor:
    """(n,) positions in an index map, (K,) steps from each -> (n, K) int32 rows."""
    return index_map[corners[:, None] + steps]


def write_rows(values: Tensor, positions: Tensor, rows: Tensor) -> Tensor:
    """(n, ...), (N,) int64 positions, (N, ...) -> (n, ...) with the rows written; n is nowhere."""
    longer = torch.cat((values, torch.zeros_like(values[:1])))
    return longer.index_copy_(0, positions, rows)[:-1]
