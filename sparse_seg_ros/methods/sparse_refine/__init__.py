# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SparseRefine: a low-resolution network everywhere, a sparse U-Net where it is unsure."""
