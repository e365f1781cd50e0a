# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
cv_bridge, if ROS has it, for encodings without a row in pixels.py.

A cv_bridge built for another major version of NumPy ends the process when it is called, and one
built for another OpenCV fails with a KeyError. So it converts a picture in a process of its own
first, once; unless that succeeds, it is not used. It is not on PyPI, so the tests run a stand-in.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

TRIAL = """
import numpy
from cv_bridge import CvBridge
bridge = CvBridge()
message = bridge.cv2_to_imgmsg(numpy.zeros((4, 6, 3), numpy.uint8), 'bgr8')
assert bridge.imgmsg_to_cv2(message, 'rgb8').shape == (4, 6, 3)
"""
TRIAL_SECONDS = 20.0


@cache
def is_usable() -> bool:
    """Tell whether cv_bridge converts a picture in another process, which it may end."""
    if find_spec('cv_bridge') is None:
        return False
    try:
        return subprocess.run([sys.executable, '-c', TRIAL], capture_output=True,
                              timeout=TRIAL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def convert(message: Any) -> np.ndarray | None:
    """Image message -> (H, W, 3) uint8 RGB; None where cv_bridge is not usable or fails."""
    if not is_usable():
        return None
    from cv_bridge import CvBridge, CvBridgeError  # pyright: ignore[reportMissingImports]
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, 'rgb8'))
    except (CvBridgeError, KeyError, ValueError):
        return None
