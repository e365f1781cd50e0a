# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""H.264 in MP4 by PyAV, which brings an FFmpeg that has it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


class PyAVWriter:
    """Writes pictures of one size, both sides even, into an MP4 that every player plays."""

    def __init__(self, path: Path, frames_per_second: float, size_hw: tuple[int, int]):
        self.container = av.open(str(path), 'w')
        self.stream = self.container.add_stream(
            'libx264', rate=Fraction(frames_per_second).limit_denominator(1001))
        self.stream.height, self.stream.width = size_hw
        self.stream.pix_fmt = 'yuv420p'
        self.stream.options = {'crf': '20', 'preset': 'veryfast'}

    def write(self, picture: np.ndarray) -> None:
        """Add a (H, W, 3) uint8 RGB picture."""
        frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
        self.container.mux(self.stream.encode(frame))

    def release(self) -> None:
        """End the file."""
        self.container.mux(self.stream.encode())
        self.container.close()
