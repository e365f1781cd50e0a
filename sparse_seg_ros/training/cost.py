# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How long a training will take here: an estimate, from the time of one view of its crop.

What learns takes three times as long as it does forwards, for it goes backwards, too; the dense
network of a refiner goes forwards only. Reading, rendering and scoring are not counted.
"""

from __future__ import annotations

import numpy as np
import torch

from sparse_seg_ros.data.frames import frames
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.method_config import own_config
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import autocast_precision
from sparse_seg_ros.training.objectives import CLASSIFIER
from sparse_seg_ros.training.start import start_model

BOTH_WAYS = 3.0  # forwards and backwards / forwards
NOT_LEARNT = ('upload', 'download', 'total')  # stages of a frame that a training has not


def count_views(config: TrainConfig) -> int:
    """Return how many views a training sees; OSError, ValueError for splits that are not here."""
    listed = sum(len(frames(split)) for split in config.splits)
    return config.epochs * (listed + config.street_frames)


def view_seconds(config: TrainConfig, device: str) -> float:
    """Return how long a training takes for one view; OSError, ValueError as `start_model`."""
    if config.stage == CLASSIFIER:
        raise ValueError('only trainings of segmentation are estimated')
    with torch.random.fork_rng([]):
        model = start_model(config)
    precision = autocast_precision(config.precision, torch.device(device).type)
    segment = assemble(model, own_config(model), device, precision, {})
    image = np.random.default_rng(0).integers(0, 256, (*config.crop_hw, 3), np.uint8)
    segment(image)  # warms up
    milliseconds = segment(image).milliseconds
    dense = milliseconds['dense']
    rest = sum(milliseconds.values()) - sum(
        milliseconds.get(stage, 0.0) for stage in NOT_LEARNT) - dense
    learns_dense = config.stage == 'dense'
    return 1e-3 * (BOTH_WAYS * rest + (BOTH_WAYS if learns_dense else 1.0) * dense)


def training_hours(config: TrainConfig, device: str) -> float:
    """Return about how long a training takes; OSError, ValueError where that cannot be told."""
    return count_views(config) * view_seconds(config, device) / 3600
