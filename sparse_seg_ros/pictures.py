# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: colours, overlays and heat maps of predictions."""

from __future__ import annotations

import cv2
import numpy as np

from sparse_seg_ros.labels import LabelSet


def color(labels: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """(H, W) uint8 ids -> (H, W, 3) uint8 RGB in the label set's colours; void is black."""
    return label_set.palette[labels]


def overlay(image: np.ndarray, labels: np.ndarray, label_set: LabelSet,
            opacity: float = 0.5) -> np.ndarray:
    """(H, W, 3) RGB and (H, W) ids -> (H, W, 3) RGB, the colours laid over the image."""
    return cv2.addWeighted(image, 1 - opacity, color(labels, label_set), opacity, 0)


def heat(uncertainty: np.ndarray) -> np.ndarray:
    """(H, W) float in [0, 1] -> (H, W, 3) uint8 RGB, dark (sure) to bright (no idea)."""
    levels = np.clip(uncertainty * 255, 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def merged(tokens: np.ndarray) -> np.ndarray:
    """(H, W) number of the shared token, 0 for none -> (H, W, 3) uint8 RGB, a colour each."""
    mixed = tokens.astype(np.uint32) * np.uint32(2654435761)  # spreads neighbouring numbers
    colors = np.stack([mixed >> shift for shift in (24, 16, 8)], 2).astype(np.uint8) | 64
    colors[tokens == 0] = 32
    return colors
