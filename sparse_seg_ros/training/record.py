# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a run writes about itself.

config.yaml: its settings with the seed; versions.json: the machine and versions of its last start;
metrics.jsonl: one line per epoch; and curves and pictures, if `tensorboard` is installed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from sparse_seg_ros.config import check_setting, converted, hints, parts_of, renamed
from sparse_seg_ros.machine import machine, write_json
from sparse_seg_ros.pictures import heat, overlay
from sparse_seg_ros.processes import count_processes
from sparse_seg_ros.report.tables import percent
from sparse_seg_ros.report.with_tensorboard import open_writer
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.texts import cut
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.yaml_files import read_yaml

# A run may go on with other values of these: what was learnt stays valid.
FREE = ('epochs', 'validate_every', 'validation', 'validation_streets', 'cache')
SHOWN = {'val_miou': 'val mIoU', 'val_top1': 'val top-1', 'density': 'refined %'}  # as percent


class Record:
    """Files of one run folder, all but weights."""

    def __init__(self, folder: Path, config: TrainConfig, precision: str, epoch: int = 0):
        """Begin, or go on after an epoch; lines of later ones, which never ended, are dropped."""
        self.folder, self.started, self.first = folder, time.monotonic(), epoch
        self.epochs = config.epochs
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'config.yaml').write_text(yaml.safe_dump(plain(asdict(config))))
        about = {'seed': config.seed, 'processes': count_processes(), 'precision': precision,
                 **machine()}
        write_json(folder / 'versions.json', about)
        keep_metrics(folder / 'metrics.jsonl', epoch)
        self.writer = open_writer(folder, epoch)

    def add(self, epoch: int, metrics: dict[str, float]) -> None:
        """Write the metrics of an epoch, counted from 1, and say when the run will end."""
        line = {'epoch': epoch, **metrics, 'time': round(time.time())}
        with (self.folder / 'metrics.jsonl').open('a') as file:
            file.write(to_line(line))
        shown = ', '.join(f'{SHOWN.get(name, name)} '
                          f'{percent(value) if name in SHOWN else f"{value:.4g}"}'
                          for name, value in metrics.items() if name != 'density' or value)
        left = (time.monotonic() - self.started) / (epoch - self.first) * (self.epochs - epoch)
        tqdm.write(f'epoch {epoch}/{self.epochs}: {shown}'
                   + (f'; about {duration(left)} left' if epoch < self.epochs else ''))
        if self.writer is not None:
            for name, value in metrics.items():
                self.writer.add_scalar(name, value, epoch)
            self.writer.flush()

    def show(self, epoch: int, picture: np.ndarray) -> None:
        """Keep a (H, W, 3) uint8 RGB picture of an epoch."""
        if self.writer is not None:
            self.writer.add_image('labels, truth, uncertainty', picture, epoch, dataformats='HWC')


def to_line(metrics: Mapping[str, Any]) -> str:
    """Metrics of an epoch -> their line of metrics.jsonl."""
    return json.dumps(metrics) + '\n'


def keep_metrics(path: Path, epoch: int) -> None:
    """Drop what a metrics.jsonl says of later epochs, and lines that were cut."""
    text = ''.join(to_line(line) for line in read_metrics(path) if line['epoch'] <= epoch)
    if path.is_file() and path.read_text(errors='replace') != text:
        part = path.with_suffix('.part')
        part.write_text(text)
        part.rename(path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of each epoch that is complete in a metrics.jsonl."""
    lines = []
    for line in path.read_text(errors='replace').splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
        except ValueError:  # a line that was cut when the power was
            continue
        if isinstance(values, dict) and isinstance(values.get('epoch'), int):
            lines.append(values)
    return lines


def duration(seconds: float) -> str:
    """3725 -> '1 h 2 min'; 90 -> '2 min'; 9 -> '9 s'."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f'{seconds:.0f} s'
    return f'{minutes // 60} h {minutes % 60} min' if minutes >= 60 else f'{minutes} min'


def preview(segment: Segmenter, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(H, W, 3), (H, W) -> (H, 3W, 3) RGB: labels and truth over the image, and uncertainty."""
    seen = segment(image, truth=label)
    return np.hstack([overlay(image, seen.labels, segment.labels),
                      overlay(image, label, segment.labels), heat(seen.uncertainty)])


def plain(values: dict) -> dict:
    """Turn tuples into lists, for YAML."""
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()}


def refuse_others(folder: Path, config: TrainConfig, free: tuple[str, ...] = ()) -> list[str]:
    """
    Return what is different from the training in a folder, in words, in the settings named free.

    Raises ValueError if another setting is; nothing is different where no training is yet.
    """
    path = folder / 'config.yaml'
    if not path.is_file():
        return []
    kept = {**plain(asdict(TrainConfig())), **as_now(read_yaml(path) or {}, str(path))}
    different = {name: f'{name} {cut(repr(kept[name]))}, now {cut(repr(value))}'
                 for name, value in plain(asdict(config)).items() if kept[name] != value}
    fixed = [words for name, words in different.items() if name not in free]
    if fixed:
        raise ValueError(f"{folder} was trained with {'; '.join(fixed)}: keep its settings, "
                         'delete it, or name another folder')
    return list(different.values())


def as_now(values: dict[str, Any], source: str) -> dict[str, Any]:
    """
    Settings of a training that began with an earlier version -> as they are written now.

    What is no value of a setting any more, such as -1.0 or '', stood for what null is now.
    """
    values = renamed(TrainConfig, values, source)
    for item in fields(TrainConfig):
        hint, may_be_none = parts_of(hints(TrainConfig)[item.name])
        if may_be_none and item.name in values:
            try:
                check_setting(TrainConfig, item, converted(values[item.name], hint))
            except ValueError:
                values[item.name] = None
    return values
