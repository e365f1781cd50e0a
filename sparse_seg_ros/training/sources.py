# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frames a run learns from, and how rare each class is in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.data.augmentation import Augmentation
from sparse_seg_ros.data.frames import frames
from sparse_seg_ros.data.rendered import RenderedStreet
from sparse_seg_ros.training.config import TrainConfig

VALIDATION_STREETS = 3001  # seed; training and evaluation use others


def training_sources(config: TrainConfig) -> list[tuple[Sequence, Augmentation]]:
    """Return (frames, augmentation) of every source that the run names."""
    sources: list[tuple[Sequence, Augmentation]] = []
    for split in config.splits:
        sources.append((list(frames(split)), augmentation(config, config.scales)))
    if config.street_frames:
        streets = RenderedStreet(config.cache, config.street_frames, config.street_size_hw,
                                 config.street_seed)
        sources.append((streets, augmentation(config, config.street_scales)))
    if not sources:
        raise ValueError("nothing to train on: set 'splits', 'street_frames' or both")
    return sources


def augmentation(config: TrainConfig, scales: tuple[float, float]) -> Augmentation:
    """Return how the frames of a source are varied."""
    return Augmentation(config.crop_hw, scales, largest_share=config.largest_share)


def validation_frames(config: TrainConfig) -> Sequence | None:
    """Return the frames to score while training, if the run names any."""
    if config.validation:
        return frames(config.validation)
    if config.validation_streets:
        return RenderedStreet(config.cache, config.validation_streets, config.street_size_hw,
                              VALIDATION_STREETS)
    return None


def class_weights(sources: list[tuple[Sequence, Augmentation]], num_classes: int,
                  balance: float) -> Tensor:
    """
    Return (C,) weights (median frequency / frequency) ** balance, at most 5, from the sources.

    Labels of 255 are void; any other beyond the classes raises ValueError.
    """
    counts = np.zeros(256)
    for frames_, _ in sources:
        for index in range(0, len(frames_), 4):
            counts += np.bincount(frames_[index][1][::4, ::4].ravel(), minlength=256)
    if counts[num_classes:255].any():
        raise ValueError(f'labels must be below {num_classes} or 255, got '
                         f'{num_classes + int(counts[num_classes:255].argmax())}; '
                         'does the label set match the frames?')
    frequency = np.maximum(counts[:num_classes], 1) / counts[:num_classes].sum()
    weights = (np.median(frequency) / frequency) ** balance
    return torch.tensor(np.minimum(weights, 5.0), dtype=torch.float32)
