# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames without labels: a folder of pictures, or a split file of one picture a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_seg_ros.data.frames import listing_of, read_text
from sparse_seg_ros.data.picture_files import read_image
from sparse_seg_ros.data.picture_folder import SUFFIXES
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.texts import cut


class Unlabelled:
    """A sequence of (image (H, W, 3) uint8 RGB, (H, W) uint8 of 255), read when used."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(self.paths[index])
        return image, np.full(image.shape[:2], VOID, np.uint8)


def find_unlabelled(split: str | Path) -> Unlabelled | None:
    """
    Return the frames of a folder, or of a list of pictures alone; None if the split has labels.

    'folder/train' is the list folder/train.txt if there is one, or else the folder itself. Raises
    ValueError for a list where only some lines have labels.
    """
    listing = listing_of(split)
    if not listing.is_file():
        return Unlabelled(pictures_in(Path(split))) if Path(split).is_dir() else None
    names = [line.strip().strip('"\'') for line in read_text(listing).splitlines() if line.strip()]
    paths = [listing.parent / name for name in names]
    are_pictures = [path.is_file() for path in paths]
    if not any(are_pictures):
        return None
    if not all(are_pictures):
        other = names[are_pictures.index(False)]
        raise ValueError(f'{listing}: expected one picture a line, as on other lines of this '
                         f'list, got {cut(repr(other))}; correct its name, or make two lists, one '
                         'with labels and one without')
    return Unlabelled(paths)


def pictures_in(folder: Path) -> list[Path]:
    """Folder -> the pictures in it, by name; ValueError without any."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f'{folder} holds no pictures ({", ".join(SUFFIXES)}); name a folder that '
                         'does, or a split file')
    return paths
