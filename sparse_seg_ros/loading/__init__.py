# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
