# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plain vision transformers that segment: encoder, decoders, and Segmenter made of them."""

from __future__ import annotations

from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT

__all__ = ['SegmenterViT']
