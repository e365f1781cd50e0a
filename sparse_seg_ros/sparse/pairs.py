# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which input row meets which output row through which of the nine kernel weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from sparse_seg_ros.sparse.level import Level


@dataclass(frozen=True)
class Part:
    """
    Outputs that share one list of kernel indices.

    table: (n, K) int32 input row per output and kernel; the number of inputs where there is none.
    kernels: K kernel indices, dy + 3 * dx each.
    inputs: number of input rows.
    rows: (n,) int64 output rows, or None for all of them in order.
    """

    table: Tensor
    kernels: tuple[int, ...]
    inputs: int
    rows: Tensor | None = None

    def pick(self, weight: Tensor) -> Tensor:
        """(9, Cin, Cout) -> (K, Cin, Cout), without a copy where all nine are wanted in order."""
        in_order = self.kernels == tuple(range(9))
        return weight if in_order else weight[list(self.kernels)]


@dataclass(frozen=True)
class Runs:
    """
    The submanifold pairs once more, by rows of the image.

    Each run of active pixels has one pixel more before and after it, so that the neighbours of an
    active pixel in its row stand beside it.

    table: (P, 3) int32 row of the pixel above, of this one and of the one below; N where inactive.
    active: (N,) int64 which of the P are active.
    """

    table: Tensor
    active: Tensor


@dataclass(frozen=True)
class Pairs:
    """
    All pairs of one convolution, grouped by output in `parts`, and by input in `adjoint_parts`.

    A convolution multiplies along `parts`; its gradient, and its transposed convolution, along
    `adjoint_parts`. level: whose pixels are inputs and outputs both, where it is submanifold.
    """

    parts: tuple[Part, ...]
    adjoint_parts: tuple[Part, ...]
    inputs: int
    outputs: int
    level: Level | None = None

    @property
    def adjoint(self) -> Pairs:
        """Pairs of the transposed convolution."""
        return Pairs(self.adjoint_parts, self.parts, self.outputs, self.inputs)
