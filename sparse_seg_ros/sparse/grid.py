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


def look_up(index_map: Tensor, corners: Tensor, offsets: list[int]) -> Tensor:
    """(n,) positions in an index map and K offsets -> (n, K) int32 rows."""
    return index_map[corners[:, None] + torch.tensor(offsets, device=corners.device)]
