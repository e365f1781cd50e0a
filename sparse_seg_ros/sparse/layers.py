# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Layers of sparse networks. They own the weights; the tensor's backend does the arithmetic.

There is one layout, that of SparseRefine's release, so one checkpoint runs on all backends:
3x3 kernels are (9, Cin, Cout) with `W[o, i, dy, dx] = kernel[dy + 3 * dx, i, o]`, 1x1 kernels
(Cin, Cout).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.processes import count_processes, sum_over_processes
from sparse_seg_ros.sparse.convolution import conv, inverse_conv
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.reference import rounded
from sparse_seg_ros.sparse.tensor import SparseTensor


class Conv(nn.Module):
    """3x3 without bias: submanifold for stride 1, to the next coarser level for stride 2."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.kernel = nn.Parameter(he_normal(9, in_channels, out_channels))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, Cout), or (M, Cout) one level coarser."""
        return conv(x, self.kernel, self.stride)


class InverseConv(nn.Module):
    """Transposed 3x3, stride 2, without bias: back to where the strided convolution came from."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.kernel = nn.Parameter(he_normal(9, in_channels, out_channels))

    def forward(self, x: SparseTensor, like: Level) -> SparseTensor:
        """(M, Cin) at `like.coarser` -> (N, Cout) at `like`."""
        return inverse_conv(x, self.kernel, like)


class Pointwise(nn.Module):
    """1x1 without bias."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.kernel = nn.Parameter(he_normal(1, in_channels, out_channels)[0])

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, Cout)."""
        features = rounded(x.features) @ self.kernel
        return x.with_features(features[:len(x.features)])


class NormReLU(nn.BatchNorm1d):
    """
    Batch norm over the active pixels, then ReLU.

    Fewer than two pixels have no variance: then the running statistics are used in training, too,
    and left alone. In a training of several processes, the statistics are of all their pixels.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C), not negative."""
        return x.with_features(F.relu(self._normalise(x.features), inplace=True))

    def _normalise(self, features: Tensor) -> Tensor:
        if self.training and count_processes() > 1:
            return self._normalise_together(features)
        is_training = self.training and len(features) > 1
        if is_training:
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            features,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            is_training,
            self.momentum,
            self.eps,
        )

    def _normalise_together(self, features: Tensor) -> Tensor:
        values = features.float()
        count = values.new_full((1,), len(values))
        count, *sums = sum_over_processes(
            torch.cat((count, values.sum(0), values.square().sum(0)))
        ).split((1, self.num_features, self.num_features))
        mean, square = (total / count.clamp_min(1) for total in sums)
        variance = (square - mean.square()).clamp_min(0)
        if count > 1:
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((values - mean) * scale + self.bias).to(features.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor):
        """Move the running statistics towards those of a batch."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def he_normal(count: int, in_channels: int, out_channels: int) -> Tensor:
    """(count, Cin, Cout) random weights that keep the variance through a ReLU."""
    return torch.randn(count, in_channels, out_channels) * (2 / (count * in_channels)) ** 0.5
