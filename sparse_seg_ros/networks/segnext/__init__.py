# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SegNeXt: an encoder of multi-scale convolutional attention and a decoder of factor matrices."""
