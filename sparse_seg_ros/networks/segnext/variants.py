# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sizes of SegNeXt: table 2 of the paper, with MMSegmentation's shares of dropped paths."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """What the sizes differ in."""

    widths: tuple[int, int, int, int]  # channels of F1 to F4
    depths: tuple[int, int, int, int]  # blocks in each stage
    decoder_width: int
    drop_path: float  # of the last block; the first has 0


T = Variant((32, 64, 160, 256), (3, 3, 5, 2), 256, 0.1)
S = Variant((64, 128, 320, 512), (2, 2, 4, 2), 256, 0.1)
B = Variant((64, 128, 320, 512), (3, 3, 12, 3), 512, 0.1)
L = Variant((64, 128, 320, 512), (3, 5, 27, 3), 1024, 0.3)
