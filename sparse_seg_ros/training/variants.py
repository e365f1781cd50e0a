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
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.record import read_metrics, refuse_others


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

    def find(self, variant: Variant) -> str | Path:
        """Return a variant's model, after training it if it has one to do."""
        if not variant.train:
            return self.model_of(variant.model)
        config = self.configs[variant.name]
        if config.start_from:
            config = replace(config, start_from=str(self.start_of(config)))
        return train_once(config, self.run_folder(variant.name), self.device)

    def model_of(self, name: str) -> str | Path:
        """Return the file of the variant trained under this name, or else the name itself."""
        if name in self.configs:
            return self.run_folder(name) / 'model.safetensors'
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
    done, model = folder / 'metrics.jsonl', folder / 'model.safetensors'
    epochs = [line['epoch'] for line in read_metrics(done)]
    if model.is_file() and max(epochs, default=0) >= config.epochs:
        return model
    return train(config, folder, device)


def plain_name(name: str) -> str:
    """'PatchRefine (256)' -> 'PatchRefine_256'."""
    return re.sub(r'[^A-Za-z0-9.-]+', '_', name).strip('_')
