# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
GPU kernels of the stages around the networks, in Triton.

A kernel stands in for the torch code that calls `kernels_of` (switch.py); that code defines what
is right.
"""
