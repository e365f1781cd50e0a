# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frames of a video file, or of a camera of this machine, by the FFmpeg inside OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.files import refuse_pointer
from sparse_seg_ros.quiet import quiet

SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg')
FRAMES_PER_SECOND = 25.0  # where a file does not say it
SLACK = 0.02  # frames that a container may count too many


class VideoFrames:
    """
    Frames of a video, turned upright, each with its time in the video, in nanoseconds, as stamp.

    source: a file, or the number of a camera. Every pass begins at the first frame. Raises
    FileNotFoundError without the file, ValueError where it is no video. damage: None, or what a
    file lacks, once all of it was read.
    """

    def __init__(self, source: Path | int):
        self.source, self.damage = source, None
        self.name = f'camera {source}' if isinstance(source, int) else str(source)
        self.stem = Path(self.name).stem.replace(' ', '_')
        if isinstance(source, Path):
            if not source.is_file():
                raise FileNotFoundError(f'no video {source}')
            refuse_pointer(source)
        with self.open() as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            self.count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))) \
                if isinstance(source, Path) else 0
        self.frames_per_second = fps if 1 <= fps <= 240 else FRAMES_PER_SECOND

    @contextmanager
    def open(self) -> Iterator[cv2.VideoCapture]:
        """Open the video; ValueError where OpenCV cannot."""
        with quiet():
            capture = cv2.VideoCapture(
                self.source if isinstance(self.source, int) else str(self.source))
        try:
            if not capture.isOpened():
                cure = 'is the camera there, and free?' if isinstance(self.source, int) \
                    else 'is the file complete?'
                raise ValueError(f'{self.name}: not a readable video; {cure}')
            yield capture
        finally:
            capture.release()

    def __len__(self) -> int:
        """Return how many frames the file says that it has; 0 where it does not say."""
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        with self.open() as capture:
            while True:
                with quiet():
                    is_read, image = capture.read()
                if not is_read:
                    break
                number += 1
                yield self.make_frame(number, capture, image)
        if number < self.count * (1 - SLACK) - 1:
            self.damage = (f'{self.name}: {number} of {self.count} frames could be read; copy it '
                           'again')

    def make_frame(self, number: int, capture: cv2.VideoCapture, image: np.ndarray) -> Frame:
        """Return the frame that was just read."""
        if isinstance(self.source, int):
            stamp = time.time_ns()
        else:
            stamp = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return Frame(f'{self.name}, frame {number}', lambda: image, stamp=stamp,
                     name=f'{self.stem}_{number:06d}')
