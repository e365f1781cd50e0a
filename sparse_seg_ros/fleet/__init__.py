# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of many bags at once, in processes of this machine or on a cluster: doc/fleet.md."""
