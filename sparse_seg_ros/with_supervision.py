# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions as `supervision.Detections`, for its annotators and zones."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_seg_ros.labels import VOID


def to_detections(labels: np.ndarray, uncertainty: np.ndarray, names: tuple[str, ...]) -> Any:
    """
    (H, W) uint8 ids, (H, W) float in [0, 1], names of the ids -> Detections, one for each class.

    They are in order of ids. xyxy: box around all pixels of the class. mask: (N, H, W) bool.
    confidence: 1 - the mean uncertainty of its pixels. data['class_name']: its name. Unlabelled
    pixels are in none.
    """
    try:
        from supervision import Detections
    except ImportError:
        raise ImportError('to_detections needs supervision; pip install supervision') from None
    ids = np.unique(labels)
    ids = ids[ids != VOID]
    masks = labels == ids[:, None, None]
    return Detections(
        xyxy=np.array([box_of(mask) for mask in masks], np.float32).reshape(-1, 4), mask=masks,
        confidence=np.array([1 - uncertainty[mask].mean() for mask in masks]),
        class_id=ids.astype(int),
        data={'class_name': np.array([names[number] for number in ids])})


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(H, W) bool with pixels in it -> left, top, right and bottom of their box, in pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
