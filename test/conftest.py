# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What all tests share.

A heap in which torch and its friends are not searched for garbage; and, but for `make test-gpu`,
Triton's interpreter in place of its compiler.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / 'ros')]  # pytest 6, as on Humble, has no setting for it
pytest_plugins = ['ros_fixtures']
settings.register_profile('default', deadline=None, derandomize=True, max_examples=300)
settings.register_profile('long', deadline=None, max_examples=20_000)
settings.load_profile('default')


def pytest_configure(config: pytest.Config) -> None:
    """Decide before Triton is imported."""
    if config.option.markexpr != 'gpu':
        os.environ.setdefault('TRITON_INTERPRET', '1')


def pytest_collection_finish() -> None:
    """Leave what is imported alone: searching it took half of the time of all tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_unconfigure() -> None:
    """Let everything go in order: Triton's library complains at length of what is left."""
    gc.unfreeze()
