# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The dense network once more, at twice its resolution, only where it was unsure.

Not in the paper, whose extractor begins at random and has to learn what things look like from the
selected pixels alone. This extractor begins with the layers of a trained network,
MobileNetEdgeTPU. Down to stride 8 the layers run on the selected pixels, one low-resolution pixel
around them, and the pixels that their strided convolutions reach. The next map is dense and small:
around the selected pixels it holds the enlarged maps of the low resolution, and its last map is
mixed with theirs. From there the decoder goes back up to the selected pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.sparse_refine.blocks import Blocks
from sparse_seg_ros.networks.folding import convolutions_of, folded
from sparse_seg_ros.networks.mobilenet_edgetpu import ENDS, MobileNetEdgeTPU
from sparse_seg_ros.sparse.backend import backend_of
from sparse_seg_ros.sparse.convolution import conv, conv_add, conv_shift_relu
from sparse_seg_ros.sparse.grid import write_rows
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.reference import rounded
from sparse_seg_ros.sparse.tensor import SparseTensor

MIX = 0.75  # of the last map from the selected pixels, at first: the best of a few on CamVid val
SIDE = 2  # pixels of what it sees to one of the low-resolution image
NEXT = tuple(dy + 3 * dx for dy, dx in ((1, 2), (2, 1)))  # kernel indices: to the right, below


class SparseNetwork(nn.Module):
    """Layers of a MobileNetEdgeTPU without norms; a channel of its last map weighs `mix`."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.network = folded(MobileNetEdgeTPU(num_classes)).requires_grad_(True)
        self.mix = nn.Parameter(torch.full((self.network.widths[-1],), MIX))

    def begin_as(self, network: MobileNetEdgeTPU) -> None:
        """Take the weights of a dense network."""
        self.network.load_state_dict(folded(network).state_dict())

    def forward(self, image: Tensor, blocks: Blocks, maps: tuple[Tensor, ...]) -> Tensor:
        """
        (B, 3, 2h, 2w) image, M blocks of it -> (C * 4, M) logits of their pixels, row-major.

        maps: of the network at low resolution, at its strides 8 and 16.
        """
        encoder, (low_eighth, low_last) = self.network.backbone, maps
        half = self.stem(image, around(blocks.level))
        quarter = self.bottlenecks(half, 0, ENDS[0])
        eighth = self.bottlenecks(quarter, *ENDS)
        surroundings = self.network.doubled(low_eighth)
        last = encoder.pool(encoder.blocks[ENDS[1]:](scatter(eighth, surroundings)))
        low_last = self.network.doubled(low_last)
        last = torch.lerp(low_last, last.to(low_last.dtype),
                          self.mix.to(low_last.dtype)[:, None, None])
        logits = self.decode(half, quarter, eighth, last)
        pixels = bilinear_quads(logits.with_features(logits.features.float()))  # (4, N, C)
        pixels = pixels[:, logits.level.rows_at(*blocks.low)]  # (4, M, C)
        return pixels.permute(2, 0, 1).flatten(0, 1)

    def stem(self, image: Tensor, level: Level) -> SparseTensor:
        """First convolutions, of all pixels around each site: (N, 16)."""
        first, second = convolutions_of(self.network.backbone.stem)
        weight = first.weight.permute(0, 2, 3, 1).flatten(1)
        features = F.relu(linear(patches(image, level), weight, first.bias))
        return SparseTensor(pointwise(features, second), level, backend_of(image.device.type))

    def bottlenecks(self, x: SparseTensor, first: int, last: int) -> SparseTensor:
        """Fused inverted bottlenecks; each level down, the sites that have an input."""
        for block in self.network.backbone.bottlenecks(first, last):
            wide = convolve(x, block.expand)
            features = pointwise(wide.features, block.project)
            x = wide.with_features(x.features + features if block.adds else features)
        return x

    def decode(self, half: SparseTensor, quarter: SparseTensor, eighth: SparseTensor,
               last: Tensor) -> SparseTensor:
        """Sparse maps at strides 2, 4 and 8, the dense one at 16 -> (N, C) logits at stride 2."""
        network = self.network
        context, *laterals = convolutions_of(network.laterals)
        widths = context.out_channels, network.num_classes
        rows = network.doubled(torch.cat((context(last), network.coarse_head(last)), 1))
        rows = rows.movedim(1, -1).flatten(0, 2)[eighth.level.places].to(eighth.features.dtype)
        for skip, lateral, smooth, finer in zip((eighth, quarter), laterals, network.smooth,
                                                (quarter.level, half.level)):
            above, coarse = rows.split(widths, 1)
            x = skip.with_features(F.relu(pointwise(skip.features, lateral) + above))
            x = residual(x, smooth).features
            rows = upsample(skip.with_features(torch.cat((x, coarse), 1)), finer)
        above, coarse = rows.split(widths, 1)
        joined = residual(half.with_features(torch.cat((above, half.features), 1)), network.join)
        return half.with_features(coarse + pointwise(joined.features, network.head))


def around(level: Level) -> Level:
    """Level of the sites and their neighbours, on images padded as the dense network pads them."""
    return level.grown(MobileNetEdgeTPU.multiple, padding=1)


def patches(image: Tensor, level: Level) -> Tensor:
    """(B, 3, 2h, 2w) -> (N, 27): the 3x3 pixels around the first of each site, channels last."""
    batch, y, x = level.sites.unbind(1)
    wide = F.pad(image, (1, 1, 1, 1)).movedim(1, -1).contiguous()  # (B, H, W, 3)
    count, height, width, _ = wide.shape
    triples = wide.as_strided((count * height * width - 2, 9), (3, 1))  # three pixels of a row
    corners = (batch * height + 2 * y) * width + 2 * x
    steps = torch.arange(3, device=image.device) * width
    return triples[(corners[:, None] + steps).flatten()].view(len(corners), 27)


def convolve(x: SparseTensor, layer: nn.Conv2d) -> SparseTensor:
    """(N, a) -> (N, b), or (M, b) one level coarser: relu of a 3x3 convolution."""
    kernel, stride = sparse_kernel(layer), layer.stride[0]
    if not torch.is_grad_enabled():
        return conv_shift_relu(x, kernel, bias_of(layer), stride)
    y = conv(x, kernel, stride)
    return y.with_features(F.relu(y.features + bias_of(layer).to(y.features.dtype)))


def residual(x: SparseTensor, block: nn.Module) -> SparseTensor:
    """Block of a decoder without its norms: (N, a) -> (N, b)."""
    first, second, *widening = convolutions_of(block)
    shortcut = pointwise(x.features, *widening) if widening else x.features
    y, kernel = convolve(x, first), sparse_kernel(second)
    if not torch.is_grad_enabled():
        return conv_add(y, kernel, shortcut, bias_of(second))
    y = conv(y, kernel)
    return y.with_features(F.relu(y.features + bias_of(second).to(y.features.dtype) + shortcut))


def bias_of(layer: nn.Conv2d) -> Tensor:
    """(b,) bias of a convolution; ValueError without one."""
    if layer.bias is None:
        raise ValueError('the convolution must have a bias, got none; fold its norm into it')
    return layer.bias


def sparse_kernel(layer: nn.Conv2d) -> Tensor:
    """(b, a, dy, dx) weight of a 3x3 convolution -> (9, a, b)."""
    return layer.weight.permute(3, 2, 1, 0).flatten(0, 1)


def pointwise(features: Tensor, layer: nn.Conv2d) -> Tensor:
    """(N, a) -> (N, b) by a 1x1 convolution."""
    return linear(features, layer.weight[:, :, 0, 0], layer.bias)


def linear(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(N, a), (b, a), (b,) or None -> (N, b), of inputs of few sizes."""
    return F.linear(rounded(features), weight, bias)[:len(features)]


def scatter(x: SparseTensor, surroundings: Tensor) -> Tensor:
    """(N, F) written over (B, F, H, W), at the sites of their level."""
    wide = surroundings.to(x.features.dtype).movedim(1, -1)  # (B, H, W, F)
    return write_rows(wide.flatten(0, 2), x.level.flat, x.features).view(
        wide.shape).movedim(-1, 1)


def upsample(x: SparseTensor, finer: Level) -> Tensor:
    """(M, F) -> (N, F) at the next finer level: bilinear, row i becomes row 2i."""
    batch, row, column = finer.sites.unbind(1)
    parents = x.level.rows_at(batch, row // 2, column // 2)
    places = (row % 2 * 2 + column % 2) * len(x.level)
    return bilinear_quads(x).flatten(0, 1)[places + parents]


def bilinear_quads(x: SparseTensor) -> Tensor:
    """
    (M, F) -> (4, M, F): what is at each site, and half a step to the right, below and both.

    A neighbour that is not active has the site's own features.
    """
    features, table = x.features, x.level.neighbours.parts[0].table
    itself = torch.arange(len(table), dtype=table.dtype, device=table.device)
    right, below = (torch.where(table[:, kernel] < len(table), table[:, kernel], itself)
                    for kernel in NEXT)
    lower = (features + features[below]) / 2
    return torch.stack((features, (features + features[right]) / 2,
                        lower, (lower + lower[right]) / 2))
