# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The images that networks take, and their sizes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def check_images(images: Tensor) -> None:
    """Raise ValueError unless images are (B, 3, H, W) with at least one pixel."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError('images must be (B, 3, H, W) with at least one pixel, got '
                         f'{tuple(images.shape)}; resize or skip empty crops, and add the batch '
                         'dimension to a single image')


def size_of(images: Tensor) -> tuple[int, int]:
    """(..., H, W) -> height and width."""
    height, width = images.shape[-2:]
    return height, width


def shrunk_hw(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """Size of an image -> the size at which a network sees it."""
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width


def shrink(images: Tensor, scale: float) -> Tensor:
    """
    (B, 3, H, W) -> (B, 3, round(scale H), round(scale W)), averaging the pixels covered.

    A scale above 1, for networks that learnt on larger images, enlarges them bilinearly.
    """
    if scale == 1:
        return images
    mode = 'area' if scale < 1 else 'bilinear'
    return F.interpolate(images, size=shrunk_hw(size_of(images), scale), mode=mode)
