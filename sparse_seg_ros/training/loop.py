# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The training loop, as one story: read, resume, step, average, score, save.

A run folder holds what record.py writes, last.pt (to resume) and model.safetensors (the averaged
weights, to use). Started by `torchrun`, several processes share every batch, and the first one
scores and writes. Batch norms see the whole batch in the refiner; in a dense network on CUDA, too,
but on a CPU only the share of their process.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from sparse_seg_ros.checkpoints import (
    Model,
    ModelCard,
    build_model,
    load_model,
    load_strictly,
    save_model,
)
from sparse_seg_ros.data.batches import Batches
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.processes import (
    count_processes,
    first_alone,
    joined,
    mean_over_processes,
    own_rank,
)
from sparse_seg_ros.segmenter import PRECISIONS
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.objectives import OBJECTIVES, DenseObjective
from sparse_seg_ros.training.record import Record, plain, preview
from sparse_seg_ros.training.sources import class_weights, training_sources, validation_frames
from sparse_seg_ros.zoo import assemble, own_config

METHODS = {'dense': 'sparse_refine', 'refiner': 'sparse_refine', 'point_rend': 'point_rend',
           'patch_refine': 'patch_refine'}  # what the stage's model is run by, once it refines


def train(config: TrainConfig, folder: str | Path, device: str = 'cpu') -> Path:
    """Run or resume the training in a folder, or a process's part -> path of its model file."""
    folder = Path(folder)
    with joined(device) as own_device:
        record = Record(folder, config) if own_rank() == 0 else None
        torch.manual_seed(config.seed)
        with first_alone():
            sources = training_sources(config)
        model = start_model(config)
        for part in model.parts().values():
            part.to(own_device)
        weights = class_weights(sources, len(model.card.classes), config.balance)
        run = Run(config, model, OBJECTIVES[config.stage](model, weights).to(own_device), folder)
        run.resume()
        batches = Batches(sources, config.batch_size, config.seed, own_rank(), count_processes())
        for epoch in range(run.epoch, config.epochs):
            run.train_epoch(batches, epoch)
            if record is not None:
                run.finish_epoch(epoch, record)
    return folder / 'model.safetensors'


def start_model(config: TrainConfig) -> Model:
    """Build the model to train: fresh, or started from the weights of another run."""
    start = load_model(config.start_from) if config.start_from else None
    is_refiner = config.stage != 'dense'
    if is_refiner and start is None:
        raise ValueError("a refiner needs 'start_from': the model file of its dense network")
    labels = load_labels(config.labels)
    network = start.card.network if start else config.network
    described = start.card if start else NETWORKS[network]
    card = ModelCard(network, labels.names, labels.name, described.mean, described.std,
                     config.scale,
                     planes=config.planes if is_refiner else (), inputs=config.inputs,
                     alpha_nats=config.alpha_nats if is_refiner else None,
                     refined_by=METHODS[config.stage],
                     patch=config.patch if config.stage == 'patch_refine' else 0,
                     selector=config.selector, extractor=config.extractor,
                     ensembler=config.ensembler,
                     training={**(start.card.training if start else {}),
                               config.stage: plain(asdict(config))},
                     network_config=start.card.network_config if start else {})
    model = build_model(card)
    if start:
        load_strictly(model.network, start.network.state_dict(), config.start_from)
        if goes_on(start.card, card):
            load_strictly(model.refiner, start.refiner.state_dict(), config.start_from)
    return model


def goes_on(start: ModelCard, card: ModelCard) -> bool:
    """Tell whether a run goes on with the refiner that it starts from: one of the same kind."""
    return bool(start.planes) and bool(card.planes) and start.refined_by == card.refined_by


class Run:
    """Weights, optimiser and average of a run, and their file."""

    def __init__(self, config: TrainConfig, model: Model, objective: nn.Module, folder: Path):
        self.config, self.model, self.objective, self.folder = config, model, objective, folder
        self.device = objective.class_weights.device
        objective.trained.to(memory_format=torch.channels_last)
        self.shared = share(objective)
        self.average = AveragedModel(
            objective.trained, multi_avg_fn=get_ema_multi_avg_fn(config.averaging),
            use_buffers=True)
        self.optimizer = torch.optim.AdamW(decay_groups(objective.trained, config.weight_decay),
                                           lr=config.learning_rate)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == 'fp16')
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
        self.scaler.load_state_dict(state.get('scaler', {}))
        torch.set_rng_state(state['random'].cpu())
        self.epoch = state['epoch']

    def train_epoch(self, batches: Batches, epoch: int) -> None:
        """One pass; leaves the mean loss in self.loss."""
        self.shared.train()
        total = torch.zeros((), device=self.device)
        progress = tqdm(batches.epoch(epoch), f'epoch {epoch + 1}/{self.config.epochs}',
                        len(batches), leave=False, disable=own_rank() > 0)
        for step, (images, labels) in enumerate(progress):
            rate = learning_rate(self.config, epoch * len(batches) + step, len(batches))
            total += self.step(images, labels, rate)
        self.loss = float(mean_over_processes(total)) / len(batches)

    def step(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        """One step of the optimiser on (B, 3, H, W) uint8 and (B, H, W) uint8 -> its loss."""
        card = self.model.card
        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1)
                     for values in (card.mean, card.std))
        images = (images.to(self.device).float() - mean) / std
        with torch.autocast(self.device.type, PRECISIONS[self.config.precision],
                            enabled=self.config.precision != 'fp32'):
            loss = self.shared(images, labels.to(self.device))
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.objective.trained.parameters(), 5.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.objective.trained)
        return loss.detach()

    def finish_epoch(self, epoch: int, record: Record) -> None:
        """Save what is needed to resume, and score the averaged weights when it is time."""
        is_last = epoch + 1 == self.config.epochs
        metrics = {'loss': round(self.loss, 5), 'rate': self.optimizer.param_groups[0]['lr']}
        if is_last or (epoch + 1) % self.config.validate_every == 0:
            with torch.random.fork_rng([]):  # other processes draw nothing meanwhile
                averaged = self.averaged_model()
                metrics |= self.score(averaged, epoch + 1, record)
            save_model(averaged, self.folder / 'model.safetensors')
        record.add(epoch + 1, metrics)
        torch.save({'trained': self.objective.trained.state_dict(),
                    'average': self.average.state_dict(),
                    'optimizer': self.optimizer.state_dict(),
                    'scaler': self.scaler.state_dict(),
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

    def score(self, model: Model, epoch: int, record: Record) -> dict[str, float]:
        """Score a model on the validation frames and show the first; nothing without them."""
        frames = validation_frames(self.config)
        if frames is None:
            return {}
        segment = assemble(model, own_config(model), str(self.device), self.config.precision, {})
        report = evaluate(segment, frames)
        record.show(epoch, preview(segment, *frames[0]))
        return {'val_miou': round(report.mean_iou, 4), 'density': round(report.density, 4)}


def share(objective: nn.Module) -> nn.Module:
    """Wrap an objective so that all processes learn from all gradients; alone it stays itself."""
    if count_processes() == 1:
        return objective
    is_dense, device = isinstance(objective, DenseObjective), objective.class_weights.device
    if is_dense and device.type == 'cuda':  # the refiner's own norms add up over processes
        objective.trained = nn.SyncBatchNorm.convert_sync_batchnorm(objective.trained)
    return DistributedDataParallel(
        objective, [device] if device.type == 'cuda' else None,
        find_unused_parameters=is_dense)  # Segmenter carries a head that it does not use


def decay_groups(module: nn.Module, decay: float) -> list[dict]:
    """Split parameters: weight decay for matrices, none for norms and biases."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    return [{'params': matrices, 'weight_decay': decay}, {'params': others, 'weight_decay': 0.0}]


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """One epoch of linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / steps_per_epoch)
    done = step / (steps_per_epoch * config.epochs)
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * done))
