# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The extractor by other means, SparseRefine's Table 7: the same weights, and the same result.

Dense convolves the whole image, and sets what is not selected to zero after each layer, without
which it would compute something else. Another rival is in with_spconv.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.sparse_refine.extractor import Coarser, Extractor, ResBlock, Stage
from sparse_seg_ros.sparse.folding import ConvShiftReLU
from sparse_seg_ros.sparse.layers import NormReLU, Pointwise


class RivalExtractor(ABC):
    """
    Walks through a folded Extractor: a call takes what the rival convolves, and returns the same.

    Subclasses have the layers. depth: 0 for the finest level.
    """

    def __init__(self, extractor: Extractor):
        self.extractor = extractor
        self.kernels = {id(module): self.prepared(module) for module in extractor.modules()
                        if hasattr(module, 'kernel')}

    @abstractmethod
    def prepared(self, layer: nn.Module) -> Any:
        """Return what a convolution of this rival needs of a layer's weights."""

    @abstractmethod
    def conv(self, x: Any, layer: nn.Module, depth: int) -> Any:
        """Submanifold 3x3."""

    @abstractmethod
    def down(self, x: Any, layer: nn.Module, depth: int) -> Any:
        """3x3 with stride 2, from a depth to the next."""

    @abstractmethod
    def up(self, x: Any, layer: nn.Module, depth: int) -> Any:
        """Transposed 3x3 with stride 2, back to a depth."""

    @abstractmethod
    def norm_relu(self, x: Any, norm: NormReLU) -> Any:
        """Batch norm in evaluation, then ReLU."""

    @abstractmethod
    def shift_relu(self, x: Any, shift: Tensor) -> Any:
        """Add a number per channel, then ReLU."""

    @abstractmethod
    def add(self, x: Any, other: Any) -> Any:
        """Return the sum of two of one level."""

    @abstractmethod
    def join(self, x: Any, other: Any) -> Any:
        """Return the channels of two of one level."""

    @abstractmethod
    def pointwise(self, x: Any, layer: Pointwise) -> Any:
        """1x1."""

    def __call__(self, x: Any) -> Any:
        seen = self.stage(self.conv(x, self.extractor.stem, 0), self.extractor.stages, 0)
        return self.norm_relu(seen, self.extractor.tail)

    def stage(self, x: Any, stage: Stage, depth: int) -> Any:
        """One resolution and all coarser ones."""
        for block in stage.encode:
            x = self.block(x, block, depth)
        if stage.coarser is None:
            return x
        x = self.join(x, self.coarser(x, stage.coarser, depth))
        for block in stage.decode:
            x = self.block(x, block, depth)
        return x

    def coarser(self, x: Any, inner: Coarser, depth: int) -> Any:
        """Down a level, through the next stage, and up again."""
        deep = self.down(self.norm_relu(x, inner.norm_down), inner.down, depth)
        deep = self.norm_relu(self.stage(deep, inner.stage, depth + 1), inner.norm_up)
        return self.up(deep, inner.up, depth)

    def block(self, x: Any, block: ResBlock, depth: int) -> Any:
        """A residual block; its first convolution may have its norm folded in."""
        shortcut = self.pointwise(x, block.shortcut) if isinstance(block.shortcut, Pointwise) \
            else x
        first = block.conv1
        before = first.before if isinstance(first, ConvShiftReLU) and first.before is not None \
            else block.norm1
        x = self.conv(self.norm_relu(x, before), first, depth)
        x = self.shift_relu(x, first.shift) if isinstance(first, ConvShiftReLU) \
            else self.norm_relu(x, block.norm2)
        return self.add(shortcut, self.conv(x, block.conv2, depth))


class DenseExtractor(RivalExtractor):
    """(B, Cin, H, W), zero outside of the selection -> (B, planes[0], H, W), zero there too."""

    def __init__(self, extractor: Extractor, selected: Tensor):
        """selected: (B, H, W) bool."""
        super().__init__(extractor)
        self.masks = [selected[:, None].to(next(extractor.parameters()).dtype)]
        for _ in extractor.planes[1:]:
            self.masks.append(F.max_pool2d(self.masks[-1], 3, 2))

    def prepared(self, layer: nn.Module) -> Tensor:
        if isinstance(layer, Pointwise):
            return layer.kernel.T[..., None, None].contiguous()
        _, cin, cout = layer.kernel.shape
        weight = layer.kernel.view(3, 3, cin, cout).permute(3, 2, 1, 0)  # (Cout, Cin, dy, dx)
        return weight.contiguous(memory_format=torch.channels_last)

    def conv(self, x: Tensor, layer: nn.Module, depth: int) -> Tensor:
        return self.masked(F.conv2d(x, self.kernels[id(layer)], padding=1), depth)

    def down(self, x: Tensor, layer: nn.Module, depth: int) -> Tensor:
        return self.masked(F.conv2d(x, self.kernels[id(layer)], stride=2), depth + 1)

    def up(self, x: Tensor, layer: nn.Module, depth: int) -> Tensor:
        (height, width), weight = self.masks[depth].shape[2:], self.kernels[id(layer)]
        seen = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)[..., :height, :width]
        missing = (0, width - seen.shape[3], 0, height - seen.shape[2])
        return self.masked(F.pad(seen, missing), depth)

    def norm_relu(self, x: Tensor, norm: NormReLU) -> Tensor:
        seen = F.relu_(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight,
                                    norm.bias, eps=norm.eps))
        return self.masked(seen, self.depth_of(seen))

    def shift_relu(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.masked(F.relu_(x + shift[:, None, None]), self.depth_of(x))

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        return x + other

    def join(self, x: Tensor, other: Tensor) -> Tensor:
        return torch.cat((x, other), 1)

    def pointwise(self, x: Tensor, layer: Pointwise) -> Tensor:
        return F.conv2d(x, self.kernels[id(layer)])

    def masked(self, x: Tensor, depth: int) -> Tensor:
        """Set what is not active at a depth to zero."""
        return x.mul_(self.masks[depth])

    def depth_of(self, x: Tensor) -> int:
        """Return the depth of an image, which its size tells."""
        return next(depth for depth, mask in enumerate(self.masks)
                    if mask.shape[2:] == x.shape[2:])
