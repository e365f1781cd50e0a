# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel map: which input row goes to which output row by which of the nine weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.sparse.grid import Grid, look_up, window

if TYPE_CHECKING:
    from sparse_seg_ros.sparse.winograd import Tiles


@dataclass(frozen=True)
class KernelMapPart:
    """
    Outputs that share one list of kernel indices.

    table: (n, K) int32 input row per output and kernel; the number of inputs where there is none.
    kernels: K kernel indices, dy + 3 * dx each.
    inputs: number of input rows.
    rows: (n,) int64 output rows, or None for all of them in order.
    active: (1,) int32 on the device, how many of the n, the first ones, anything reads: a backend
    may leave out the others. None: all.
    """

    table: Tensor
    kernels: tuple[int, ...]
    inputs: int
    rows: Tensor | None = None
    active: Tensor | None = None

    def pick(self, weight: Tensor) -> Tensor:
        """(9, Cin, Cout) -> (K, Cin, Cout), without a copy where all nine are wanted in order."""
        in_order = self.kernels == tuple(range(9))
        return weight if in_order else torch.stack([weight[kernel] for kernel in self.kernels])


class RowRuns(Grid):
    """
    The submanifold kernel map once more, by rows of the image; built when it is first needed.

    Each run of active pixels has one pixel more before and after it, so that the neighbours of an
    active pixel in its row stand beside it.
    """

    @cached_property
    def table(self) -> Tensor:
        """(P, 3) int32 row of the pixel above, of this one and of the one below, or inactive."""
        height, pitch = self.mask.shape[1], self.mask.shape[2] + 2
        wide = F.pad(self.mask, (1, 1))
        grown = wide.clone()
        grown[..., 1:] |= wide[..., :-1]
        grown[..., :-1] |= wide[..., 1:]
        flat = grown.flatten().nonzero().squeeze(1)
        above = flat + 2 * (flat // (height * pitch)) * pitch  # two rows of border each
        return look_up(self.index_map, above, window(3, 1, pitch, above.device))

    @cached_property
    def active(self) -> Tensor:
        """(N,) int64 which of the P are active."""
        return (self.table[:, 1] != self.inactive).nonzero().squeeze(1)


@dataclass(frozen=True)
class KernelMap:
    """
    All pairs of one convolution, grouped by output in `parts`, and by input in `adjoint_parts`.

    A convolution multiplies along `parts`; its gradient, and its transposed convolution, along
    `adjoint_parts`. is_padded: some rows stand for no pixel, so that all sizes are known
    beforehand, and nothing need look at a value. runs, tiles: of a submanifold one without such.
    """

    parts: tuple[KernelMapPart, ...]
    adjoint_parts: tuple[KernelMapPart, ...]
    inputs: int
    outputs: int
    is_padded: bool = False
    runs: RowRuns | None = None
    tiles: Tiles | None = None

    @property
    def adjoint(self) -> KernelMap:
        """KernelMap of the transposed convolution."""
        return KernelMap(self.adjoint_parts, self.parts, self.outputs, self.inputs,
                         self.is_padded)
