# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: colours, overlays and heat maps of predictions."""

from __future__ import annotations

import cv2
import numpy as np

from sparse_seg_ros.labels import LabelSet

FONT, FONT_SCALE, ROW_HEIGHT, SWATCH = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 22, 14
INK, PAPER = (230, 230, 230), 24
WIDTH_OF_ZOOM = 1280  # a legend is drawn twice as large from twice this width on


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


def encode(picture: np.ndarray, suffix: str) -> bytes:
    """(H, W, 3) RGB or (H, W) uint8, suffix such as .png -> the bytes of a picture file."""
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
                                  if picture.ndim == 3 else picture)
    except cv2.error:
        done, data = False, None
    if not done:
        raise ValueError(f'a picture is written as .png or .jpg, got {suffix!r}; give the file '
                         'one of these endings')
    return data.tobytes()


def with_legend(picture: np.ndarray, labels: LabelSet) -> np.ndarray:
    """(H, W, 3) RGB -> (H + h, W, 3) RGB, colour and name of every class below."""
    return np.vstack([picture, draw_legend(labels, picture.shape[1])])


def draw_legend(labels: LabelSet, width: int) -> np.ndarray:
    """Return (H, width, 3) uint8 RGB: colour and name of every class; H is even."""
    zoom = max(1, width // WIDTH_OF_ZOOM)
    scale, side, height = FONT_SCALE * zoom, SWATCH * zoom, ROW_HEIGHT * zoom
    widest = max(cv2.getTextSize(name, FONT, scale, zoom)[0][0] for name in labels.names)
    columns = max(1, width // (widest + 3 * side))
    rows = -(-len(labels) // columns)
    legend = np.full((rows * height, width, 3), PAPER, np.uint8)
    for place, (name, color) in enumerate(zip(labels.names, labels.colors)):
        left = place % columns * (width // columns) + 6 * zoom
        top = place // columns * height + 4 * zoom
        cv2.rectangle(legend, (left, top), (left + side, top + side), color, cv2.FILLED)
        cv2.putText(legend, name, (left + side + 6 * zoom, top + side - 2 * zoom), FONT, scale,
                    INK, zoom, cv2.LINE_AA)
    return legend
