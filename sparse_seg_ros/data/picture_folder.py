# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures sorted into one folder per class, as ImageNet is: folder/class/picture.jpg."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_seg_ros.data.picture_files import read_image

SUFFIXES = ('.jpg', '.jpeg', '.png')


class PictureFolder:
    """
    A sequence of (image (H, W, 3) uint8 RGB, class id) pairs, read when used.

    Raises FileNotFoundError without the folder, ValueError with less than two classes or with a
    class that has no pictures.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        if not folder.is_dir():
            raise FileNotFoundError(f'no picture folder {folder}; it must hold one folder of '
                                    'pictures per class')
        folders = sorted(path for path in folder.iterdir() if path.is_dir())
        if len(folders) < 2:
            raise ValueError(f'{folder} must hold at least two folders of pictures, one per '
                             f'class; got {len(folders)}')
        self.classes = tuple(path.name for path in folders)
        self.paths, ids = [], []
        for number, path in enumerate(folders):
            pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not pictures:
                raise ValueError(f'{path} holds no pictures ({", ".join(SUFFIXES)}); add some or '
                                 'remove the folder')
            self.paths += pictures
            ids += [number] * len(pictures)
        self.ids = np.array(ids)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return read_image(self.paths[index]), int(self.ids[index])
