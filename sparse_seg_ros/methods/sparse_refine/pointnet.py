# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
PointNet as extractor of the selected pixels: SparseRefine, Table 5d.

The segmentation network of Qi et al., "PointNet: Deep Learning on Point Sets for 3D Classification
and Segmentation", figure 2, without its two alignment networks: those turn clouds in space, and a
pixel's colour has no direction. A pixel has the same inputs as in the U-Net; its position is not
one of them. With 3 inputs and the widths of the paper it has 873,024 parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.sparse.layers import NormReLU, Pointwise
from sparse_seg_ros.sparse.tensor import SparseTensor

SHARES = (2, 4, 8)  # global width / width of each layer after the two are joined


class PointNet(nn.Module):
    """Each pixel by itself, and the largest values over all selected pixels of its image."""

    smallest_side = 1

    def __init__(self, in_channels: int = 3, planes: tuple[int, ...] = (64, 128, 1024)):
        """planes: of a pixel by itself, on the way, and last of what the image is summed up in."""
        super().__init__()
        self.planes = tuple(planes)
        local, whole = planes[0], planes[-1]
        joined = [whole // share for share in SHARES]
        self.width = joined[-1]
        self.local = perceptron(in_channels, local, local)
        self.whole = perceptron(local, *planes)
        self.join_local, self.join_whole = Pointwise(local, joined[0]), Pointwise(whole, joined[0])
        self.norm = NormReLU(joined[0])
        self.tail = perceptron(*joined)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, Cin) -> (N, width)."""
        local = self.local(x)
        largest = image_maxima(self.whole(local))  # (B, planes[-1])
        image = x.level.sites[:, 0]
        joined = self.join_local(local).features + (largest @ self.join_whole.kernel)[image]
        return self.tail(self.norm(x.with_features(joined)))


def perceptron(*widths: int) -> nn.Sequential:
    """Build (N, widths[0]) -> (N, widths[-1]), normalised after every layer."""
    pairs = zip(widths, widths[1:])
    return nn.Sequential(*(layer for a, b in pairs for layer in (Pointwise(a, b), NormReLU(b))))


def image_maxima(x: SparseTensor) -> Tensor:
    """(N, C) not negative -> (B, C) largest over the pixels of each image; zeros without any."""
    parts = x.features.split(x.level.mask.flatten(1).sum(1).tolist())
    return torch.stack([part.amax(0) if len(part) else part.sum(0) for part in parts])
