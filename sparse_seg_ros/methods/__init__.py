# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How a frame is segmented: the table of all methods.

A method is a folder or a module, in this package or elsewhere, that exports one KIND (kind.py):
its settings, how it is built, what it trains. It is imported when it is first needed.
"""

from __future__ import annotations

AUTO = 'auto'  # compares two methods, and takes one: loading/auto_method.py
METHODS = {
    'dense': 'sparse_seg_ros.methods.dense',
    'sparse_refine': 'sparse_seg_ros.methods.sparse_refine',
    'point_rend': 'sparse_seg_ros.methods.point_rend',
    'patch_refine': 'sparse_seg_ros.methods.patch_refine',
    'algm': 'sparse_seg_ros.methods.algm',
    'sparse_vit': 'sparse_seg_ros.methods.sparse_vit',
}


def method_names() -> tuple[str, ...]:
    """Return the names that the setting `method` may have."""
    return (*METHODS, AUTO)
