# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random label maps whose classes lie in blobs."""

from __future__ import annotations

import cv2
import numpy as np

VOID, CLASSES = 255, 4


def blobs(random, size_hw, classes=CLASSES, void=0.1):
    """Return (H, W) ids in blobs, some of them void."""
    noise = random.random((classes + 1, *size_hw)).astype(np.float32)
    noise = np.stack([cv2.GaussianBlur(plane, (0, 0), 2.0) for plane in noise])
    noise[-1] += (void - 0.1) / 4 - 0.01
    ids = noise.argmax(0).astype(np.uint8)
    return np.where(ids == classes, VOID, ids).astype(np.uint8)
