# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Curves for TensorBoard, if the package `tensorboard` is installed."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm


def open_writer(folder: Path, epoch: int = 0):
    """
    Return a SummaryWriter into the folder; without the package None, said in one line.

    epoch: the last that ended; what was written of later ones does not count.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        tqdm.write('no curves for TensorBoard; for them: pip install tensorboard')
        return None
    return SummaryWriter(folder / 'tensorboard', purge_step=epoch + 1)
