# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The training loop, as one story: read, resume, step, average, score, save.

A run folder holds config.yaml, metrics.jsonl, last.pt (to resume) and model.safetensors (the
averaged weights, to use).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from sparse_seg_ros.checkpoints import Model, build_model, save_model
from sparse_seg_ros.data.batches import Batches
from sparse_seg_ros.evaluation.classify import top1
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.segmenter import PRECISIONS
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.objectives import OBJECTIVES
from sparse_seg_ros.training.sources import (
    class_weights,
    training_sources,
    validation_frames,
    validation_pictures,
)
from sparse_seg_ros.training.start import plain, start_model
from sparse_seg_ros.zoo import assemble, own_config


def train(config: TrainConfig, folder: str | Path, device: str = 'cpu') -> Path:
    """Run or resume the training in a folder -> path of its model file."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'config.yaml').write_text(yaml.safe_dump(plain(asdict(config))))
    torch.manual_seed(config.seed)
    sources = training_sources(config)
    model = start_model(config)
    weights = class_weights(sources, len(model.card.classes), config.balance)
    run = Run(config, model, OBJECTIVES[config.stage](model, weights).to(device), folder)
    run.resume()
    batches = Batches(sources, config.batch_size, config.seed)
    if not len(batches):
        raise ValueError(f'{len(batches.items)} frames do not fill one batch of '
                         f"{config.batch_size}; give more, or a smaller 'batch_size'")
    for epoch in range(run.epoch, config.epochs):
        run.train_epoch(batches, epoch)
        run.finish_epoch(epoch)
    return folder / 'model.safetensors'


class Run:
    """Weights, optimiser and average of a run, and their file."""

    def __init__(self, config: TrainConfig, model: Model, objective: nn.Module, folder: Path):
        self.config, self.model, self.objective, self.folder = config, model, objective, folder
        self.device = objective.class_weights.device
        objective.trained.to(memory_format=torch.channels_last)
        self.average = AveragedModel(
            objective.trained, multi_avg_fn=get_ema_multi_avg_fn(config.averaging),
            use_buffers=True)
        groups, self.factors = parameter_groups(objective.trained, config)
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
        self.epoch, self.loss = 0, math.nan

    def resume(self) -> None:
        """Continue from last.pt where there is one."""
        last = self.folder / 'last.pt'
        if not last.is_file():
            return
        state = torch.load(last, map_location=self.device, weights_only=True)
        self.objective.trained.load_state_dict(state['trained'])
        self.average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        torch.set_rng_state(state['random'].cpu())
        self.epoch = state['epoch']

    def train_epoch(self, batches: Batches, epoch: int) -> None:
        """One pass; leaves the mean loss in self.loss."""
        self.objective.train()
        total = torch.zeros((), device=self.device)
        progress = tqdm(batches.epoch(epoch), f'epoch {epoch + 1}/{self.config.epochs}',
                        len(batches), leave=False)
        for step, (images, labels) in enumerate(progress):
            rate = learning_rate(self.config, epoch * len(batches) + step, len(batches))
            total += self.step(images, labels, rate)
        self.loss = float(total) / len(batches)

    def step(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        """One step of the optimiser on (B, 3, H, W) uint8 and (B, H, W) uint8 -> its loss."""
        card = self.model.card
        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1)
                     for values in (card.mean, card.std))
        images = (images.to(self.device).float() - mean) / std
        with torch.autocast(self.device.type, PRECISIONS[self.config.precision],
                            enabled=self.config.precision != 'fp32'):
            loss = self.objective(images, labels.to(self.device))
        for group, factor in zip(self.optimizer.param_groups, self.factors):
            group['lr'] = rate * factor
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.objective.trained.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.objective.trained)
        return loss.detach()

    def finish_epoch(self, epoch: int) -> None:
        """Save what is needed to resume, and score the averaged weights when it is time."""
        is_last = epoch + 1 == self.config.epochs
        metrics = {'epoch': epoch + 1, 'loss': round(self.loss, 5), 'time': round(time.time())}
        if is_last or (epoch + 1) % self.config.validate_every == 0:
            averaged = self.averaged_model()
            metrics |= self.score(averaged)
            save_model(averaged, self.folder / 'model.safetensors')
        with (self.folder / 'metrics.jsonl').open('a') as file:
            file.write(json.dumps(metrics) + '\n')
        tqdm.write(' '.join(f'{key} {value}' for key, value in metrics.items() if key != 'time'))
        torch.save({'trained': self.objective.trained.state_dict(),
                    'average': self.average.state_dict(),
                    'optimizer': self.optimizer.state_dict(),
                    'random': torch.get_rng_state(), 'epoch': epoch + 1},
                   self.folder / 'last.part')
        (self.folder / 'last.part').rename(self.folder / 'last.pt')

    def averaged_model(self) -> Model:
        """Return a copy of the model with the averaged weights."""
        model = build_model(self.model.card)
        for name, part in self.model.parts().items():
            own = model.parts()[name]
            trained = part is self.objective.trained
            own.load_state_dict(self.average.module.state_dict() if trained
                                else part.state_dict())
        return model

    def score(self, model: Model) -> dict[str, float]:
        """Score a model on the validation frames; nothing without them."""
        if self.config.stage == 'classifier':
            found = validation_pictures(self.config)
            return {} if found is None else {'val_top1': round(top1(
                model.network, found, self.config.crop_hw, self.device), 4)}
        frames = validation_frames(self.config)
        if frames is None:
            return {}
        segment = assemble(model, own_config(model), str(self.device), self.config.precision, {})
        report = evaluate(segment, frames)
        return {'val_miou': round(report.mean_iou, 4), 'density': round(report.density, 4)}


def parameter_groups(module: nn.Module, config: TrainConfig) -> tuple[list[dict], list[float]]:
    """
    Split parameters -> groups for the optimiser, and what each multiplies the learning rate by.

    Weight decay is for matrices, not for norms and biases; `head_rate` for what is not in a
    backbone.
    """
    has_head = config.head_rate != 1
    if has_head and not hasattr(module, 'backbone'):
        raise ValueError(f'{type(module).__name__} has no backbone that could learn slower; '
                         "remove 'head_rate'")
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        is_head = has_head and not name.startswith('backbone.')
        groups.setdefault((is_head, parameter.ndim <= 1), []).append(parameter)
    kinds = sorted(groups)  # matrices first
    return ([{'params': groups[kind], 'weight_decay': 0.0 if kind[1] else config.weight_decay}
             for kind in kinds], [config.head_rate if is_head else 1.0 for is_head, _ in kinds])


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then a cosine or a straight line to zero."""
    warm = min(1.0, (step + 1) / (config.warmup_steps or steps_per_epoch))
    done = step / (steps_per_epoch * config.epochs)
    left = 1 - done if config.schedule == 'poly' else 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * left
