# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Batch norms folded into the convolutions before them, for inference.

If a norm follows a sparse convolution at once, the norm's scale goes into the kernel, and its
shift is added by the backend on the way; the result is the same. Elsewhere in the refiner a norm
follows a sum. Another path needs that sum as it is, so nothing can be folded there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.sparse.convolution import conv_shift_relu
from sparse_seg_ros.sparse.layers import Conv, NormReLU
from sparse_seg_ros.sparse.tensor import SparseTensor


class ConvShiftReLU(nn.Module):
    """A submanifold 3x3, a number added per channel, ReLU: without a gradient."""

    def __init__(self, kernel: Tensor, shift: Tensor):
        super().__init__()
        self.kernel = nn.Parameter(kernel, requires_grad=False)
        self.shift = nn.Parameter(shift, requires_grad=False)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, Cout), not negative."""
        return conv_shift_relu(x, self.kernel, self.shift)


@torch.no_grad()
def fold(conv: Conv, norm: NormReLU) -> ConvShiftReLU:
    """Return what does the same as a submanifold convolution and a norm in evaluation."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return ConvShiftReLU(conv.kernel * scale, norm.bias - norm.running_mean * scale)
