# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SegFormer as MMSegmentation defines it, B0 to B5: the encoder of `transformers`, our decoder.

NVIDIA's published weights are for non-commercial use only.
"""
