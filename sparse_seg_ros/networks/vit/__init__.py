# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plain vision transformers that segment: encoder, decoders, and Segmenter made of them."""
