# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LRFormer: a transformer whose self-attention runs on small grids, whatever the image size."""
