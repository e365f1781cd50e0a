# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ALGM: similar tokens of a vision transformer merge, first in small windows, then anywhere."""

from sparse_seg_ros.methods.algm.patch import apply, remove, token_counts
from sparse_seg_ros.methods.algm.settings import Merging

__all__ = ['Merging', 'apply', 'remove', 'token_counts']
