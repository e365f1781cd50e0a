# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Street scenes rendered once and kept on disk, because a training reads them many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.data.street import CLASSES, street_frames
from sparse_seg_ros.files import require_room


class RenderedStreet:
    """Sequence of (image, label) street snapshots, memory-mapped from a cache folder."""

    classes = CLASSES

    def __init__(self, cache: str | Path, count: int, size_hw: tuple[int, int], seed: int):
        height, width = size_hw
        stem = Path(cache) / f'street_{seed}_{count}_{height}x{width}'
        names = [stem.with_suffix(f'.{part}.npy') for part in ('images', 'labels')]
        if not all(name.is_file() for name in names):
            render(names, count, size_hw, seed)
        self.images, self.labels = (np.load(name, mmap_mode='r') for name in names)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.images[index], self.labels[index]


def render(names: list[Path], count: int, size_hw: tuple[int, int], seed: int) -> None:
    """Render `count` snapshots into two .npy files, complete or not at all."""
    folder = names[0].parent
    require_room(folder, 4 * count * size_hw[0] * size_hw[1], f'{count} rendered scenes')
    folder.mkdir(parents=True, exist_ok=True)
    parts = [name.with_suffix('.part') for name in names]
    shapes = [(count, *size_hw, 3), (count, *size_hw)]
    arrays = [np.lib.format.open_memmap(part, 'w+', np.uint8, shape)
              for part, shape in zip(parts, shapes)]
    scenes = street_frames(seed, count, size_hw)
    for index, scene in enumerate(tqdm(scenes, 'rendering', count, leave=False)):
        arrays[0][index], arrays[1][index] = scene[0], scene[1]
    for array, part, name in zip(arrays, parts, names):
        array.flush()
        part.rename(name)
