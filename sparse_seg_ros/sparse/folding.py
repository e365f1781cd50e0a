# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Batch norms folded into the convolutions before them, for inference.

If a norm follows a sparse convolution at once, the norm's scale goes into the kernel, and its
shift is added by the backend on the way; the result is the same. Elsewhere in the refiner a norm
follows a sum. Another path needs that sum as it is, so its scale cannot be folded; a backend that
fuses applies it while it gathers the neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.sparse.convolution import conv_shift_relu, fuses, norm_conv_shift_relu
from sparse_seg_ros.sparse.layers import Conv, NormReLU
from sparse_seg_ros.sparse.tensor import SparseTensor


class ConvShiftReLU(nn.Module):
    """
    A submanifold 3x3, a number added per channel, ReLU: without a gradient.

    before: a norm and ReLU of what it convolves, in evaluation.
    """

    def __init__(self, kernel: Tensor, shift: Tensor, before: NormReLU | None = None):
        super().__init__()
        self.before = before
        self.kernel = nn.Parameter(kernel, requires_grad=False)
        self.shift = nn.Parameter(shift, requires_grad=False)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, Cout), not negative."""
        if self.before is None:
            return conv_shift_relu(x, self.kernel, self.shift)
        if fuses(x.backend):
            return norm_conv_shift_relu(x, affine_of(self.before), self.kernel, self.shift)
        return conv_shift_relu(self.before(x), self.kernel, self.shift)


@torch.no_grad()
def fold(conv: Conv, norm: NormReLU, before: NormReLU | None = None) -> ConvShiftReLU:
    """
    Return what does the same as a submanifold convolution and a norm in evaluation.

    before: a norm and ReLU in front of them, which is not folded and may be fused.
    """
    scale, shift = affine_of(norm)
    return ConvShiftReLU(conv.kernel * scale, shift, before)


def affine_of(norm: NormReLU) -> tuple[Tensor, Tensor]:
    """Return what a norm in evaluation multiplies by and adds, (C,) each."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale
