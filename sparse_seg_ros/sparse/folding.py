# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Batch norms folded into the convolutions before them, for inference.

A sparse convolution followed at once by a norm gives the same with its kernel scaled and the norm
reduced to a shift. Elsewhere in the refiner a norm follows a sum, which another path needs as it
is, so nothing can be folded there.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.sparse.layers import Conv, NormReLU
from sparse_seg_ros.sparse.tensor import SparseTensor


class ShiftReLU(nn.Module):
    """Add a number per channel, then ReLU: what is left of a folded norm."""

    def __init__(self, shift: Tensor):
        super().__init__()
        self.shift = nn.Parameter(shift)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C), not negative; the input is overwritten."""
        return x.with_features(F.relu_(x.features.add_(self.shift)))


@torch.no_grad()
def fold(conv: Conv, norm: NormReLU) -> tuple[Conv, ShiftReLU]:
    """Return a convolution and a shift that do what these two do in evaluation."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    folded = deepcopy(conv)
    folded.kernel.mul_(scale)
    return folded, ShiftReLU(norm.bias - norm.running_mean * scale)
