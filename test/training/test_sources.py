# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a split stay in memory only while they fit; what is learnt from does not change."""

from __future__ import annotations

import numpy as np
from miniature_trees import make_tree

from sparse_seg_ros.data.batches import Batches
from sparse_seg_ros.data.frames import Frames
from sparse_seg_ros.training import sources
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.sources import training_sources


def test_a_split_that_takes_much_memory_is_read_each_time_and_gives_the_same_views(
        tmp_path, monkeypatch):
    split = make_tree('cityscapes', tmp_path, 'train')
    config = TrainConfig(labels='cityscapes', splits=(split,), crop_hw=(8, 8))
    in_memory = training_sources(config)
    frame_bytes = 8 * 24 * 4
    for most in (0, frame_bytes, 2 * frame_bytes):
        monkeypatch.setattr(sources, 'KEPT_BYTES', most)
        found = training_sources(config)
        assert isinstance(found[0][0], Frames) == (most < 2 * frame_bytes)
        for ours, theirs in zip(Batches(found, 2, seed=0).epoch(0),
                                Batches(in_memory, 2, seed=0).epoch(0), strict=True):
            assert all(np.array_equal(one, other) for one, other in zip(ours, theirs))
