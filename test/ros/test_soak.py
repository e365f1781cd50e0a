# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The soak test in short; `make soak` is the long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

HERE = Path(__file__).parent


def test_cameras_that_flood_break_and_stop_are_said_and_cost_the_others_nothing(domain):
    ended = subprocess.run(
        [sys.executable, HERE / 'soak.py', '--frames', '600', '--toy', '--domain', str(domain)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1'})
    figures = json.loads(ended.stdout[ended.stdout.index('{'):ended.stdout.rindex('}') + 1])
    assert figures['frames'] >= 600 and not figures['exit_code'], figures
