# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Batches depend on (seed, epoch) alone and show every frame once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_seg_ros.data.augmentation import Augmentation
from sparse_seg_ros.data.batches import Batches

WHOLE = Augmentation((8, 8), (1.0, 1.0), jitter=0.0)


def source(count, first=0):
    """Return frames that are of one colour and one label, their number."""
    return [(np.full((8, 8, 3), first + number, np.uint8),
             np.full((8, 8), first + number, np.uint8)) for number in range(count)]


def test_an_epoch_shows_every_frame_of_every_source_once():
    batches = Batches([(source(6), WHOLE), (source(2, first=100), WHOLE)], 4, seed=0)
    epoch = list(batches.epoch(0))
    assert len(epoch) == len(batches) == 2
    seen = torch.cat([labels[:, 0, 0] for _, labels, _ in epoch])
    assert sorted(seen.tolist()) == [0, 1, 2, 3, 4, 5, 100, 101]
    assert torch.equal(torch.cat([sources for *_, sources in epoch]), (seen >= 100).long())
    images, labels, _ = epoch[0]
    assert images.shape == (4, 3, 8, 8) and images.dtype == labels.dtype == torch.uint8
    assert torch.equal(images[:, 0], labels)


def test_an_epoch_depends_on_seed_and_number_alone():
    def epoch(seed, number):
        batches = Batches([(source(8), Augmentation((4, 4), (0.5, 2.0)))], 4, seed)
        return torch.cat([images for images, *_ in batches.epoch(number)])
    assert torch.equal(epoch(1, 3), epoch(1, 3))
    assert not torch.equal(epoch(1, 3), epoch(1, 4))
    assert not torch.equal(epoch(1, 3), epoch(2, 3))


def test_an_error_in_the_thread_is_raised_where_the_batch_is_asked_for():
    class Broken(list):
        def __getitem__(self, index):
            raise ValueError('frame 3 is damaged')

    batches = Batches([(Broken([None] * 4), WHOLE)], 2, seed=0)
    with pytest.raises(ValueError, match='frame 3 is damaged'):
        list(batches.epoch(0))


def test_processes_share_the_same_batches():
    sources = [(source(9), Augmentation((4, 4), (0.5, 2.0)))]
    whole = list(Batches(sources, 4, seed=1).epoch(2))
    parts = [list(Batches(sources, 4, 1, rank, processes=2).epoch(2)) for rank in range(2)]
    for number, batch in enumerate(whole):
        for kind in range(3):
            together = torch.cat([part[number][kind] for part in parts])
            assert torch.equal(together, batch[kind])


def test_a_batch_that_can_not_be_shared_equally_is_refused():
    with pytest.raises(ValueError, match='batch_size must be a multiple of the 2 proc'):
        Batches([(source(9), WHOLE)], 3, seed=0, rank=0, processes=2)
