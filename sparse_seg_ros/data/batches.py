# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Batches for training: several sources mixed, augmented, and made ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.data.augmentation import Augmentation

Batch = tuple[Tensor, Tensor]


class Batches:
    """
    Epochs of (images (B, 3, H, W) uint8, labels (B, H, W) uint8) from augmented sources.

    Each epoch shows every frame of every source once, in an order and with views that depend on
    (seed, epoch) alone, so that a resumed run sees what an unbroken one would have seen.
    """

    def __init__(self, sources: list[tuple[Sequence, Augmentation]], batch_size: int, seed: int):
        self.sources, self.batch_size, self.seed = sources, batch_size, seed
        self.items = [(source, index) for source in range(len(sources))
                      for index in range(len(sources[source][0]))]

    def __len__(self) -> int:
        return len(self.items) // self.batch_size

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch, prepared ahead of need."""
        ready: queue.Queue = queue.Queue(maxsize=4)
        thread = threading.Thread(target=self.fill, args=(ready, number), daemon=True)
        thread.start()
        for _ in range(len(self)):
            batch = ready.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def fill(self, ready: queue.Queue, number: int) -> None:
        """Put the batches of an epoch into a queue; an error goes there too."""
        random = np.random.default_rng((self.seed, number))
        order = random.permutation(len(self.items))
        try:
            for start in range(0, len(self) * self.batch_size, self.batch_size):
                views = [self.view(self.items[i], random)
                         for i in order[start:start + self.batch_size]]
                images, labels = (np.stack(arrays) for arrays in zip(*views))
                ready.put((torch.from_numpy(images).movedim(-1, 1), torch.from_numpy(labels)))
        except (ValueError, OSError) as error:
            ready.put(error)

    def view(self, item: tuple[int, int], random: np.random.Generator) -> tuple:
        """One augmented (image, label)."""
        frames, augment = self.sources[item[0]]
        return augment(*frames[item[1]], random)
