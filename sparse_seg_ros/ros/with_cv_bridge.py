# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
cv_bridge, where ROS has it, for the encodings that pixels.py has no row for (16-bit colour, ...).

Not on PyPI, so never run by the tests. A cv_bridge built against another major version of OpenCV
fails on import or with a KeyError; either reads as a missing or failed conversion here.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def convert(message: Any) -> np.ndarray | None:
    """Image message -> (H, W, 3) uint8 RGB; None where cv_bridge is not installed or fails."""
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except (ImportError, AttributeError):
        return None
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, 'rgb8'))
    except (CvBridgeError, KeyError, ValueError):
        return None
