# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a run writes about itself.

config.yaml: its settings with the seed; versions.json: what it ran on, last; metrics.jsonl: one
line per epoch; and, where `tensorboard` is installed, curves and pictures for it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from sparse_seg_ros.evaluation.evaluate import told
from sparse_seg_ros.evaluation.tables import machine
from sparse_seg_ros.pictures import heat, overlay
from sparse_seg_ros.processes import count_processes
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.with_tensorboard import open_writer


class Record:
    """Files of one run folder, all but weights."""

    def __init__(self, folder: Path, config: TrainConfig, precision: str):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'config.yaml').write_text(yaml.safe_dump(plain(asdict(config))))
        about = {'seed': config.seed, 'processes': count_processes(), 'precision': precision,
                 **machine()}
        (folder / 'versions.json').write_text(json.dumps(about, indent=1) + '\n')
        self.writer = open_writer(folder)

    def add(self, epoch: int, metrics: dict[str, float]) -> None:
        """Write the metrics of an epoch, counted from 1."""
        line = {'epoch': epoch, **metrics, 'time': round(time.time())}
        with (self.folder / 'metrics.jsonl').open('a') as file:
            file.write(json.dumps(line) + '\n')
        tqdm.write(' '.join(f'{key} {value}' for key, value in line.items() if key != 'time'))
        if self.writer is not None:
            for name, value in metrics.items():
                self.writer.add_scalar(name, value, epoch)
            self.writer.flush()

    def show(self, epoch: int, picture: np.ndarray) -> None:
        """Keep a (H, W, 3) uint8 RGB picture of an epoch."""
        if self.writer is not None:
            self.writer.add_image('labels, truth, uncertainty', picture, epoch, dataformats='HWC')


def preview(segment: Segmenter, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(H, W, 3), (H, W) -> (H, 3W, 3) RGB: labels and truth over the image, and uncertainty."""
    seen = told(segment, label)(image)
    return np.hstack([overlay(image, seen.labels, segment.labels),
                      overlay(image, label, segment.labels), heat(seen.uncertainty)])


def plain(values: dict) -> dict:
    """Turn tuples into lists, for YAML."""
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()}
