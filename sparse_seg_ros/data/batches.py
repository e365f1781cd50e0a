# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Batches for training: several sources mixed, augmented, and made ahead in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.data.augmentation import Augmentation

Batch = tuple[Tensor, Tensor, Tensor]
AHEAD = 4  # batches made before they are needed
MAKERS = max(1, (os.cpu_count() or 1) // 4)  # threads that make them: training needs the rest


class Batches:
    """
    Epochs of (images (B, 3, H, W) uint8, labels (B, H, W) uint8, sources (B,) int64).

    Views are augmented; sources tells the place in the list of sources that each comes from.

    Each epoch shows every frame of every source once, in an order and with views that depend on
    (seed, epoch) alone, so that a resumed run sees what an unbroken one would have seen. Of
    several processes each is given its part of the same batches.
    """

    def __init__(self, sources: list[tuple[Sequence, Augmentation]], batch_size: int, seed: int,
                 rank: int = 0, processes: int = 1):
        """batch_size: over all processes, which share it equally; rank: which of them this is."""
        if batch_size % processes:
            raise ValueError(f'batch_size must be a multiple of the {processes} processes, got '
                             f'{batch_size}')
        self.sources, self.batch_size, self.seed = sources, batch_size, seed
        share = batch_size // processes
        self.own = range(rank * share, (rank + 1) * share)  # places in a batch
        self.items = [(source, index) for source in range(len(sources))
                      for index in range(len(sources[source][0]))]

    def __len__(self) -> int:
        return len(self.items) // self.batch_size

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch, some prepared ahead; an error in a frame is raised."""
        order = np.random.default_rng((self.seed, number)).permutation(len(self.items))
        ahead: deque[Future] = deque()
        with ThreadPoolExecutor(MAKERS) as makers:
            for index in range(len(self)):
                places = [index * self.batch_size + own for own in self.own]
                views = [(order[place], (self.seed, number, place)) for place in places]
                ahead.append(makers.submit(self.batch, views))
                if len(ahead) > AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def batch(self, views: list[tuple[int, tuple[int, ...]]]) -> Batch:
        """(item, seed) of each view -> the augmented views as one batch."""
        images, labels = (np.stack(arrays) for arrays in zip(
            *(self.view(self.items[item], np.random.default_rng(seed)) for item, seed in views)))
        sources = torch.tensor([self.items[item][0] for item, _ in views])
        return torch.from_numpy(images).movedim(-1, 1), torch.from_numpy(labels), sources

    def view(self, item: tuple[int, int], random: np.random.Generator) -> tuple:
        """One augmented (image, label)."""
        frames, augment = self.sources[item[0]]
        return augment(*frames[item[1]], random)
