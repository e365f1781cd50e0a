# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A film of pictures with the legend below: WebM for browsers, MP4 or AVI for players.

WebM is VP8, by the FFmpeg inside OpenCV, which every browser plays. MP4 is H.264 where PyAV is
installed; else MPEG-4 Part 2, which players play and browsers do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.pictures import draw_legend
from sparse_seg_ros.quiet import quiet

if TYPE_CHECKING:
    from sparse_seg_ros.with_pyav import PyAVWriter

FRAMES_PER_SECOND = 15.0
LARGEST_HW, SMALLEST = (960, 960), 16  # VP8 of larger pictures takes as long as segmenting
CODES = {'.webm': 'VP80', '.mp4': 'mp4v', '.avi': 'MJPG'}


class Film:
    """
    Takes pictures of any size; the first one decides the size of the film, and others are fitted.

    The file is made with the first picture. largest_hw: pictures are shrunken to it; None: never.
    Raises ValueError for a file that is none of .webm, .mp4 and .avi.
    """

    def __init__(self, path: Path, labels: LabelSet,
                 frames_per_second: float = FRAMES_PER_SECOND,
                 largest_hw: tuple[int, int] | None = LARGEST_HW):
        if path.suffix.lower() not in CODES:
            raise ValueError(f'a film is written as {", ".join(CODES)}, got {path.name!r}; give '
                             'it one of these endings')
        self.path, self.labels, self.frames_per_second = path, labels, frames_per_second
        self.writer, self.largest_hw = None, largest_hw
        self.first_hw, self.fitted, self.notes = (0, 0), 0, []

    def add(self, picture: np.ndarray) -> None:
        """Add a (H, W, 3) RGB picture."""
        if self.writer is None:
            self.start(picture)
        self.fitted += picture.shape[:2] != self.first_hw
        self.writer.write(np.vstack([letterbox(picture, self.size_hw), self.legend]))

    def start(self, picture: np.ndarray) -> None:
        """Begin the film with the size of its first picture."""
        self.first_hw = picture.shape[:2]
        scale = min(1.0, *(most / side for most, side in zip(self.largest_hw or self.first_hw,
                                                             self.first_hw)))
        self.size_hw = tuple(max(SMALLEST, round(side * scale) // 2 * 2)
                             for side in self.first_hw)
        self.legend = draw_legend(self.labels, self.size_hw[1])
        height, width = self.size_hw
        self.writer = self.open((height + len(self.legend), width))

    def open(self, size_hw: tuple[int, int]) -> OpenCVWriter | PyAVWriter:
        """Return what writes pictures of this size into the file."""
        if self.path.suffix.lower() == '.mp4':
            try:
                from sparse_seg_ros.with_pyav import PyAVWriter
                return PyAVWriter(self.path, self.frames_per_second, size_hw)
            except ImportError:
                self.notes.append(f'{self.path} is MPEG-4 Part 2, which browsers do not play; pip '
                                  'install av for H.264')
        return OpenCVWriter(self.path, self.frames_per_second, size_hw)

    def close(self) -> list[str]:
        """End the film -> what a user should know of it."""
        if self.writer is None:
            return []
        self.writer.release()
        with quiet():
            is_whole = cv2.VideoCapture(str(self.path)).read()[0]
        if not is_whole:
            self.path.unlink(missing_ok=True)
            return [f'no film {self.path}: this OpenCV cannot write {self.path.suffix[1:]}, or '
                    'the disk is full']
        if self.fitted:
            self.notes.append(f'{self.fitted} pictures of other sizes were fitted into the film')
        return self.notes


class OpenCVWriter:
    """Writes pictures of one size with the codec of CODES."""

    def __init__(self, path: Path, frames_per_second: float, size_hw: tuple[int, int]):
        with quiet():  # OpenCV warns of a tag that WebM does not have
            self.writer = cv2.VideoWriter(
                str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*CODES[path.suffix.lower()]),
                frames_per_second, size_hw[::-1])

    def write(self, picture: np.ndarray) -> None:
        """Add a (H, W, 3) uint8 RGB picture."""
        self.writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def release(self) -> None:
        """End the file."""
        self.writer.release()


def fit(picture: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) -> the picture as large as a frame of size_hw lets it be."""
    height, width = picture.shape[:2]
    scale = min(size_hw[0] / height, size_hw[1] / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def letterbox(picture: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) -> (*size_hw, 3), the picture in the middle, black around it."""
    picture = picture if picture.shape[:2] == size_hw else fit(picture, size_hw)
    below, right = (whole - part for whole, part in zip(size_hw, picture.shape))
    return np.pad(picture, ((below // 2, below - below // 2), (right // 2, right - right // 2),
                            (0, 0)))
