# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labelled frames on disk: a split file of "image label" lines beside the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np


class Frames:
    """A sequence of (image (H, W, 3) uint8 RGB, label (H, W) uint8) pairs, read when asked for."""

    def __init__(self, paths: list[tuple[Path, Path]]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image_path, label_path = self.paths[index]
        image, label = read_image(image_path), read_label(label_path)
        if image.shape[:2] != label.shape:
            raise ValueError(f'{label_path} is {label.shape}, its image {image.shape[:2]}; '
                             'both must have the same size')
        return image, label

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self[index] for index in range(len(self)))


def frames(split: str | Path) -> Frames:
    """
    Path 'dataset/test' -> the frames listed in dataset/test.txt.

    Each line names an image and its label (8-bit ids, 255 void), relative to the folder.
    """
    listing = Path(split).with_suffix('.txt')
    if not listing.is_file():
        raise FileNotFoundError(f'no split file {listing}; it must list "image label" per line, '
                                'paths relative to its folder')
    pairs = [line.split() for line in listing.read_text().splitlines() if line.strip()]
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong or not pairs:
        raise ValueError(f'{listing}: expected "image label" on every line, '
                         f'got {" ".join(wrong[0]) if wrong else "no lines"!r}')
    paths = [(listing.parent / image, listing.parent / label) for image, label in pairs]
    for path in (path for pair in paths for path in pair):
        if not path.is_file():
            raise FileNotFoundError(f'{listing}: no picture {path}')
    return Frames(paths)


def read_image(path: Path) -> np.ndarray:
    """Picture file -> (H, W, 3) uint8 RGB."""
    return cv2.cvtColor(read_picture(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_label(path: Path) -> np.ndarray:
    """8-bit PNG of class ids -> (H, W) uint8."""
    label = read_picture(path, cv2.IMREAD_UNCHANGED)
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f'{path}: a label must be an 8-bit one-channel PNG of class ids, '
                         f'got {label.shape} {label.dtype}')
    return label


def read_picture(path: Path, mode: int) -> np.ndarray:
    """Picture file -> what OpenCV reads; never None."""
    if not path.is_file():
        raise FileNotFoundError(f'no picture {path}')
    picture = cv2.imread(str(path), mode)
    if picture is None:
        raise ValueError(f'{path}: not a readable picture; is the file complete?')
    return picture
