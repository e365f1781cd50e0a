# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PointRend: a network over the shrunken image, and a perceptron at points it is unsure of."""
