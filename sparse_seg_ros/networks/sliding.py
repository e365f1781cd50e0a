# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A network over overlapping windows of an image, where its logits are averaged.

For networks trained on crops, as Segmenter is evaluated: Strudel et al., "Segmenter"; as there,
logits are averaged, not probabilities, and the last window of a row or column ends with the
image. Different from there: an image smaller than the window is padded, not enlarged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks import run_padded


class Windows(NamedTuple):
    """Height and width of a window, and how many pixels it is from one to the next."""

    size_hw: tuple[int, int]
    stride_hw: tuple[int, int]

    def over(self, size_hw: tuple[int, int]) -> list[tuple]:
        """Height and width of an image -> where the windows lie in it, as indices."""
        starts_yx = (starts(*sides) for sides in zip(size_hw, self.size_hw, self.stride_hw))
        rows, columns = starts_yx
        height, width = self.size_hw
        return [(..., slice(top, min(top + height, size_hw[0])),
                 slice(left, min(left + width, size_hw[1]))) for top in rows for left in columns]

    def count_over(self, size_hw: tuple[int, int]) -> int:
        """Height and width of an image, which may be below a window's -> number of windows."""
        height, width = (max(sides) for sides in zip(size_hw, self.size_hw))
        return len(self.over((height, width)))

    def check(self, multiple: int) -> None:
        """Raise ValueError unless the windows fit a network and leave no gaps."""
        if not all(size > 0 and size % multiple == 0 and 1 <= stride <= size
                   for size, stride in zip(self.size_hw, self.stride_hw)):
            raise ValueError(f'window sides must be multiples of {multiple} and strides from 1 to '
                             f'the sides, got {self.size_hw} and {self.stride_hw}; Segmenter '
                             'takes windows and strides as large as its training crops')


def run_sliding(network: nn.Module, images: Tensor, windows: Windows,
                call: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """
    (B, 3, H, W) normalised, of any size -> (B, C, H, W) logits, averaged over the windows.

    call: a function to run in the network's place, as in `run_padded`.
    """
    windows.check(network.multiple)
    height, width = images.shape[2:]
    missing = [max(0, need - have) for need, have in zip(windows.size_hw, (height, width))]
    images = F.pad(images, (0, missing[1], 0, missing[0]), mode='replicate')
    total = images.new_zeros(len(images), network.num_classes, *images.shape[2:])
    times = images.new_zeros(images.shape[2:])
    for inside in windows.over(images.shape[2:]):
        total[inside] += run_padded(network, images[inside], call)
        times[inside] += 1
    return (total / times)[..., :height, :width]


def starts(length: int, window: int, stride: int) -> list[int]:
    """Return where the windows over a side start."""
    return [*range(0, length - window, stride), max(0, length - window)]
