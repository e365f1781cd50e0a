# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trainings of an ablation: each has its own folder, is resumed, and is skipped if it is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sparse_seg_ros.evaluation.ablation import Variant
from sparse_seg_ros.files import find_file
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.loading.zoo import find_model
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.training.config import TrainConfig, read_config
from sparse_seg_ros.training.cost import training_hours
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.record import read_metrics, refuse_others

MODEL = 'model.safetensors'


class Trainings:
    """The variants' models: files in one folder, trained when they are needed."""

    def __init__(self, variants: Mapping[str, Variant], folder: str | Path, device: str):
        """Read every training's settings; one that is not known raises ValueError here."""
        self.folder, self.device = Path(folder), device
        self.configs = {name: self.read(variant) for name, variant in variants.items()
                        if variant.train}

    def read(self, variant: Variant) -> TrainConfig:
        """Return a variant's training: its YAML with the changes of the variant."""
        own = {'cache': str(self.folder / 'cache'), **variant.training}
        return read_config(find_file(variant.train), own, f'training of {variant.name!r}')

    def to_do(self) -> list[str]:
        """Return the names of the trainings that are not done."""
        return [name for name, config in self.configs.items()
                if not is_done(config, self.run_folder(name))]

    def hours(self) -> tuple[float, list[str]]:
        """
        Return about how many hours the trainings that are not done take, and which are unknown.

        Unknown are those that start from another one which is not done, or miss data.
        """
        total, unknown = 0.0, []
        for name in self.to_do():
            try:
                total += training_hours(self.started(self.configs[name]), self.device)
            except (ValueError, OSError, ImportError):  # told when its turn comes
                unknown.append(name)
        return total, unknown

    def started(self, config: TrainConfig) -> TrainConfig:
        """Return a training with the file of what it starts from."""
        if not config.start_from:
            return config
        return replace(config, start_from=str(self.start_of(config)))

    def find(self, variant: Variant) -> str | Path:
        """Return a variant's model, after training it if it has one to do."""
        if not variant.train:
            return self.model_of(variant.model)
        config = self.started(self.configs[variant.name])
        return train_once(config, self.run_folder(variant.name), self.device)

    def model_of(self, name: str) -> str | Path:
        """Return the file of the variant trained under this name, or else the name itself."""
        if name in self.configs:
            return self.run_folder(name) / MODEL
        return find_file(name)

    def start_of(self, config: TrainConfig) -> str | Path:
        """Return the file that a training starts from: a refiner from a dense network alone."""
        model, _, weights = find_model(self.model_of(config.start_from))
        if config.stage == 'dense' or model.refiner is None:
            return weights
        name = plain_name(config.start_from.removesuffix('.safetensors'))
        path = self.folder / f'dense_of_{name}.safetensors'
        save_model(Model(replace(model.card, planes=()), model.network), path)
        return path

    def run_folder(self, name: str) -> Path:
        """Return the folder that a variant is trained in."""
        return self.folder / plain_name(name)


def train_once(config: TrainConfig, folder: Path, device: str) -> Path:
    """Train in a folder, resume there, or do nothing if it is done -> the model file."""
    refuse_others(folder, config)
    return folder / MODEL if is_done(config, folder) else train(config, folder, device)


def is_done(config: TrainConfig, folder: Path) -> bool:
    """Tell whether a folder holds a training of so many epochs."""
    epochs = [line['epoch'] for line in read_metrics(folder / 'metrics.jsonl')]
    return (folder / MODEL).is_file() and max(epochs, default=0) >= config.epochs


def plain_name(name: str) -> str:
    """'PatchRefine (256)' -> 'PatchRefine_256'."""
    return re.sub(r'[^A-Za-z0-9.-]+', '_', name).strip('_')
