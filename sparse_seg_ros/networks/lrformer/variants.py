# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The sizes of LRFormer: table 2 of the paper, with the widths of the decoder (section 3.4).

The paper has no decoder of its own for XL; width and dropped paths are those of the release.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """What the sizes differ in."""

    widths: tuple[int, int, int, int]  # channels of F1 to F4
    depths: tuple[int, int, int, int]  # blocks in each stage
    decoder_width: int
    drop_path: float  # of the last block, for ADE20K; the first has 0
    normed_blocks: tuple[int, ...] = ()  # of the third stage, behind a batch norm


T = Variant((48, 96, 240, 384), (2, 2, 6, 3), 256, 0.1)
S = Variant((64, 128, 320, 512), (3, 3, 12, 3), 384, 0.2)
B = Variant((80, 160, 400, 512), (4, 4, 15, 8), 512, 0.4)
L = Variant((96, 192, 480, 640), (4, 6, 18, 8), 640, 0.6)
XL = Variant((128, 256, 640, 768), (4, 8, 22, 8), 768, 0.4, normed_blocks=(7, 15))
