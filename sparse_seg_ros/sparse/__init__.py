# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution over selected pixels of 2-D images."""
