# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""HRNet: a convolutional network that keeps a stream of full detail beside the coarse ones."""
