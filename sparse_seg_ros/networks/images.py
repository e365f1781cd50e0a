# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What networks can be given."""

from __future__ import annotations

from torch import Tensor


def check_images(images: Tensor) -> None:
    """Raise ValueError unless images are (B, 3, H, W) with at least one pixel."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError('images must be (B, 3, H, W) with at least one pixel, got '
                         f'{tuple(images.shape)}; resize or skip empty crops, and add the batch '
                         'dimension to a single image')
