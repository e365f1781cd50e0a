# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Curves of a training, and figures of evaluations, for TensorBoard, if it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from sparse_seg_ros.report.predictions import free_name


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


class TensorBoardLog:
    """Writes each evaluation as a run FOLDER/NAME/tensorboard: `log(name, figures, facts)`."""

    def __init__(self, folder: Path):
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise ImportError('--log tensorboard needs the package tensorboard; install it with '
                              '`pip install tensorboard`') from None
        self.folder = folder

    def __call__(self, name: str, figures: Mapping[str, float], facts: Mapping[str, str]) -> None:
        """Write figures as scalars, in groups such as class/, and facts as text."""
        used = {path.name for path in self.folder.glob('*')}
        writer = open_writer(self.folder / free_name(name, used))
        for path, value in figures.items():
            writer.add_scalar(path.replace('.', '/'), value, 0)
        for fact, text in facts.items():
            writer.add_text(fact, text, 0)
        writer.close()
