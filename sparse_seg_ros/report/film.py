# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A film that every browser plays: WebM, VP8, by the FFmpeg inside OpenCV, with the legend below.

That FFmpeg has no H.264, and no browser plays MPEG-4 Part 2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from sparse_seg_ros.labels import LabelSet

FRAMES_PER_SECOND = 15.0
LARGEST_HW, SMALLEST = (960, 960), 16  # VP8 of larger pictures takes as long as segmenting
FONT, FONT_SCALE, ROW_HEIGHT, SWATCH = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 22, 14
INK, PAPER = (230, 230, 230), 24


class Film:
    """
    Takes pictures of any size; the first one decides the size of the film, and others are fitted.

    The file is made with the first picture.
    """

    def __init__(self, path: Path, labels: LabelSet):
        self.path, self.labels = path, labels
        self.writer: cv2.VideoWriter | None = None
        self.first_hw, self.fitted = (0, 0), 0

    def add(self, picture: np.ndarray) -> None:
        """Add a (H, W, 3) RGB picture."""
        if self.writer is None:
            self.start(picture)
        self.fitted += picture.shape[:2] != self.first_hw
        whole = np.vstack([letterbox(picture, self.size_hw), self.legend])
        self.writer.write(cv2.cvtColor(whole, cv2.COLOR_RGB2BGR))

    def start(self, picture: np.ndarray) -> None:
        """Begin the film with the size of its first picture."""
        self.first_hw = picture.shape[:2]
        scale = min(1.0, *(most / side for most, side in zip(LARGEST_HW, self.first_hw)))
        self.size_hw = tuple(max(SMALLEST, round(side * scale) // 2 * 2)
                             for side in self.first_hw)
        self.legend = draw_legend(self.labels, self.size_hw[1])
        height, width = self.size_hw
        with quiet():  # OpenCV warns of a tag that WebM does not have
            self.writer = cv2.VideoWriter(
                str(self.path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'VP80'),
                FRAMES_PER_SECOND, (width, height + len(self.legend)))

    def close(self) -> list[str]:
        """End the film -> what a user should know of it."""
        if self.writer is None:
            return []
        self.writer.release()
        with quiet():
            is_whole = cv2.VideoCapture(str(self.path)).read()[0]
        if not is_whole:
            self.path.unlink(missing_ok=True)
            return [f'no film {self.path}: this OpenCV cannot write WebM, or the disk is full']
        return [f'{self.fitted} pictures of other sizes were fitted into the film'] \
            if self.fitted else []


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what a library prints on stderr to itself."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


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


def draw_legend(labels: LabelSet, width: int) -> np.ndarray:
    """Return (H, width, 3) uint8 RGB: colour and name of every class; H is even."""
    widest = max(cv2.getTextSize(name, FONT, FONT_SCALE, 1)[0][0] for name in labels.names)
    columns = max(1, width // (widest + 3 * SWATCH))
    rows = -(-len(labels) // columns)
    legend = np.full((rows * ROW_HEIGHT, width, 3), PAPER, np.uint8)
    for place, (name, color) in enumerate(zip(labels.names, labels.colors)):
        left, top = place % columns * (width // columns) + 6, place // columns * ROW_HEIGHT + 4
        cv2.rectangle(legend, (left, top), (left + SWATCH, top + SWATCH), color, cv2.FILLED)
        cv2.putText(legend, name, (left + SWATCH + 6, top + SWATCH - 2), FONT, FONT_SCALE, INK,
                    1, cv2.LINE_AA)
    return legend
