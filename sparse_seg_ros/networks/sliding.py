# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A network over overlapping square windows of an image, where its logits are averaged.

For networks trained on squares, as Segmenter is evaluated: Strudel et al., "Segmenter". Different
from there: an image smaller than the window is padded, not enlarged.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def run_sliding(network: nn.Module, images: Tensor, window: int, step: int) -> Tensor:
    """
    (B, 3, H, W) normalised, of any size -> (B, C, H, W) logits.

    window: side in pixels, a multiple of the network's. step: pixels from one to the next, at
    most the window; the last window of a row or column ends with the image.
    """
    if window % network.multiple or not 1 <= step <= window:
        raise ValueError(f'window must be a multiple of {network.multiple} and step from 1 to '
                         f'the window, got {window} and {step}; the paper takes them equal')
    height, width = images.shape[2:]
    missing = max(0, window - width), max(0, window - height)
    images = F.pad(images, (0, missing[0], 0, missing[1]), mode='replicate')
    total = images.new_zeros(len(images), network.num_classes, *images.shape[2:])
    times = images.new_zeros(images.shape[2:])
    for top in starts(images.shape[2], window, step):
        for left in starts(images.shape[3], window, step):
            inside = ..., slice(top, top + window), slice(left, left + window)
            total[inside] += network(images[inside])
            times[inside] += 1
    return (total / times)[..., :height, :width]


def starts(length: int, window: int, step: int) -> list[int]:
    """Return where the windows over a side start."""
    return [*range(0, length - window, step), length - window]
