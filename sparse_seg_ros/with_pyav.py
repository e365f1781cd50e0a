# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Films in MP4, and packets of video streams, by PyAV, which brings an FFmpeg with H.264."""

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


class PacketDecoder:
    """Decodes one stream of packets; raises ValueError for a codec that this FFmpeg lacks."""

    def __init__(self, codec: str):
        try:
            self.context = av.CodecContext.create(codec, 'r')
        except (av.FFmpegError, ValueError):  # of a name that is not known
            raise ValueError(f'the FFmpeg of PyAV cannot decode {codec!r}; record H.264'
                             ) from None
        self.context.thread_count = 1  # others delay pictures, and errors with them

    def decode(self, number: int, data: bytes) -> list[tuple[int, av.VideoFrame]]:
        """
        Return the pictures that are ready after this packet, each with the number of its packet.

        After a packet that cannot be decoded, for which ValueError is raised, there are none until
        the next key frame.
        """
        packet = av.Packet(data)
        packet.pts = number
        try:
            return self.ready(packet)
        except av.FFmpegError as error:
            self.context.flush_buffers()
            raise ValueError(error.strerror) from None

    def end(self) -> list[tuple[int, av.VideoFrame]]:
        """Return the last pictures of the stream."""
        try:
            return self.ready(None)
        except av.FFmpegError:
            return []

    def ready(self, packet: av.Packet | None) -> list[tuple[int, av.VideoFrame]]:
        """Return the pictures that a packet, or the end, makes ready."""
        return [(frame.pts, frame) for frame in self.context.decode(packet)
                if not frame.is_corrupt]


def frame_to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8 RGB."""
    return frame.to_ndarray(format='rgb24')
