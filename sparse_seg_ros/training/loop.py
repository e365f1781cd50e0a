# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The training loop, as one story: read, resume, step, average, score, save.

A run folder holds the files of record.py, last.pt (to resume) and model.safetensors (the averaged
weights, to use). Under `torchrun` several processes share every batch, and the first one scores
and writes. Batch norms of a refiner see the whole batch. Those of a dense network do so on CUDA;
on a CPU they see only the share of their process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from sparse_seg_ros.data.batches import Batch, Batches
from sparse_seg_ros.device import autocast, choose_device, choose_precision
from sparse_seg_ros.evaluation.classify import top1
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import build_model, save_model
from sparse_seg_ros.loading.method_config import own_config
from sparse_seg_ros.methods.dense import DenseObjective
from sparse_seg_ros.methods.kind import MethodConfig
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.processes import (
    count_processes,
    first_alone,
    joined,
    mean_over_processes,
    own_rank,
)
from sparse_seg_ros.training.averages import Norms, average_from_the_start
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.objectives import CLASSIFIER, objective_of
from sparse_seg_ros.training.optimizer import build_optimizer, learning_rate
from sparse_seg_ros.training.record import FREE, Record, preview, refuse_others
from sparse_seg_ros.training.sources import class_weights, training_sources, validation_of
from sparse_seg_ros.training.start import out_of_fold_networks, start_model, teachers
from sparse_seg_ros.training.state import check_room, read_state, write_state


def train(config: TrainConfig, folder: str | Path, device: str = 'auto') -> Path:
    """
    Run or resume the training in a folder, or a process's part -> path of its model file.

    Everything that the run needs is checked before its first step. Raises ValueError for settings
    that do not fit together, or not to the training in the folder; OSError for files and a full
    disk.
    """
    folder, is_resumed = Path(folder), (Path(folder) / 'last.pt').is_file()
    with joined(choose_device(device)) as own_device:
        precision = autocast_precision(config.precision, torch.device(own_device).type)
        changes = refuse_others(folder, config, FREE) if is_resumed else []
        torch.manual_seed(config.seed)
        model = start_model(config)
        with first_alone():
            sources = training_sources(config)
            validation = validation_of(config) if own_rank() == 0 else None
        for part in model.parts().values():
            part.to(own_device)
        weights = class_weights(sources, len(model.card.classes), config.balance)
        scales = {'second_scale': config.second_scale} if config.second_scale else {}
        objective = objective_of(config.stage, config.loss)(
            model, weights, **out_of_fold_networks(config, model), **teachers(config, model),
            **scales)
        run = Run(config, model, objective.to(own_device), folder, precision)
        check_room(folder, objective.trained, model.parts().values())
        run.resume()
        batches = Batches(sources, config.batch_size, config.seed, own_rank(), count_processes())
        if not len(batches):
            raise ValueError(f'{len(batches.items)} frames do not fill one batch of '
                             f"{config.batch_size}; give more, or a smaller 'batch_size'")
        record = Record(folder, config, precision, run.epoch) if own_rank() == 0 else None
        if record is not None:
            tqdm.write(run.describe(batches))
            tqdm.write(run.describe_start(changes))
        for epoch in range(run.epoch, config.epochs):
            run.train_epoch(batches, epoch)
            if record is not None:
                run.finish_epoch(epoch, record, validation)
    return folder / 'model.safetensors'


class Run:
    """Weights, optimiser and average of a run, and their file."""

    def __init__(self, config: TrainConfig, model: Model, objective: nn.Module, folder: Path,
                 precision: str):
        self.config, self.model, self.objective, self.folder = config, model, objective, folder
        self.precision = precision
        self.device = objective.class_weights.device
        self.normalisation = model.card.normalisation(self.device)
        objective.trained.to(memory_format=torch.channels_last)
        self.shared = share(objective)
        self.average = AveragedModel(
            objective.trained, multi_avg_fn=average_from_the_start(config.averaging),
            use_buffers=True)
        self.norms = Norms(objective.trained)
        self.optimizer, self.factors = build_optimizer(objective.trained, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == 'fp16')
        self.epoch, self.loss = 0, math.nan

    def resume(self) -> None:
        """Continue from last.pt where there is one."""
        last = self.folder / 'last.pt'
        if not last.is_file():
            return
        state = read_state(last)
        self.objective.trained.load_state_dict(state['trained'])
        self.average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.scaler.load_state_dict(state.get('scaler', {}))
        torch.set_rng_state(state['random'])
        self.epoch = state['epoch']

    def describe(self, batches: Batches) -> str:
        """Say what is trained, on what, and how."""
        config, card = self.config, self.model.card
        trained = sum(part.numel() for part in self.objective.trained.parameters()
                      if part.requires_grad)
        whole = sum(tensor.numel() for part in self.model.parts().values()
                    for tensor in part.parameters())
        return (f'{config.stage}: {card.network} for {len(card.classes)} classes, '
                f'{trained / 1e6:.2f} of {whole / 1e6:.2f} million parameters learn; '
                f'{len(batches.items)} frames, {config.epochs} epochs of {len(batches)} steps; '
                f'{self.device} in {self.precision}')

    def describe_start(self, changes: list[str]) -> str:
        """Say where the run begins, and which settings are others than before."""
        if not self.epoch:
            return f'begins in {self.folder}'
        is_done = self.epoch >= self.config.epochs
        start = f'is done after epoch {self.epoch}' if is_done else \
            f'resumes at epoch {self.epoch + 1}'
        return '; '.join([f'{self.folder} {start}', *changes])

    def train_epoch(self, batches: Batches, epoch: int) -> None:
        """One pass; leaves the mean loss in self.loss."""
        self.shared.train()
        total = torch.zeros((), device=self.device)
        progress = tqdm(batches.epoch(epoch), f'epoch {epoch + 1}/{self.config.epochs}',
                        len(batches), leave=False, disable=own_rank() > 0)
        for step, batch in enumerate(progress):
            rate = learning_rate(self.config, epoch * len(batches) + step, len(batches))
            total += self.step(batch, rate)
        self.loss = float(mean_over_processes(total)) / len(batches)

    def step(self, batch: Batch, rate: float) -> Tensor:
        """One step of the optimiser on what `Batches` yields -> its loss."""
        self.norms.set_momenta(int(self.average.n_averaged))
        images = self.normalisation(batch[0].movedim(1, -1).numpy())
        labels, sources = (part.to(self.device) for part in batch[1:])
        with autocast(self.device.type, self.precision):
            loss = self.shared(images, labels, sources)
        for group, factor in zip(self.optimizer.param_groups, self.factors):
            group['lr'] = rate * factor
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.objective.trained.parameters(),
                                        self.config.clip_norm or math.inf)
        if not torch.isfinite(loss):
            raise ValueError('the loss is not finite; run again to go on from the last epoch; if '
                             "it recurs, lower learning_rate, or set 'precision: fp32'")
        if self.precision == 'fp16' or torch.isfinite(norm):  # the scaler of fp16 looks itself
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.objective.trained)
        return loss.detach()

    def finish_epoch(self, epoch: int, record: Record, validation: Sequence | None) -> None:
        """Save what is needed to resume, and score the averaged weights when it is time."""
        is_last = epoch + 1 == self.config.epochs
        metrics = {'loss': round(self.loss, 5),
                   'rate': float(f"{self.optimizer.param_groups[0]['lr']:.4g}")}
        if is_last or (epoch + 1) % self.config.validate_every == 0:
            with torch.random.fork_rng([]):  # other processes draw nothing meanwhile
                averaged = self.averaged_model()
                if validation is not None:
                    metrics |= self.score(averaged, validation, epoch + 1, record)
            save_model(averaged, self.folder / 'model.safetensors')
        record.add(epoch + 1, metrics)
        write_state({'trained': self.objective.trained.state_dict(),
                     'average': self.average.state_dict(),
                     'optimizer': self.optimizer.state_dict(),
                     'scaler': self.scaler.state_dict(),
                     'random': torch.get_rng_state(), 'epoch': epoch + 1},
                    self.folder / 'last.pt')

    def averaged_model(self) -> Model:
        """Return a copy of the model with the averaged weights."""
        model = build_model(self.model.card)
        for name, part in self.model.parts().items():
            state = part.state_dict()
            if part is self.objective.trained:
                state = self.average.module.state_dict()
            model.parts()[name].load_state_dict(state)
        return model

    def score(self, model: Model, validation: Sequence, epoch: int,
              record: Record) -> dict[str, float]:
        """Score a model on the validation frames or pictures, and show the first frame."""
        if self.config.stage == CLASSIFIER:
            return {'val_top1': round(top1(
                model.network, validation, self.config.crop_hw, self.device), 4)}
        segment = assemble(model, validation_method(model, self.config), str(self.device),
                           self.precision, {})
        report = evaluate(segment, validation)
        record.show(epoch, preview(segment, *validation[0]))
        return {'val_miou': round(report.mean_iou, 4), 'density': round(report.density, 4)}


def validation_method(model: Model, config: TrainConfig) -> MethodConfig:
    """Return how a model is scored: as it will run, in windows where the run names them."""
    own = own_config(model)
    return replace(own, window=config.window, stride=config.stride) if config.window else own


def autocast_precision(name: str, device_type: str) -> str:
    """'auto' -> bf16 where it is multiplied natively, else fp16 on CUDA and fp32 on a CPU."""
    if name == 'auto' and device_type == 'cuda':
        return 'bf16' if torch.cuda.is_bf16_supported(including_emulation=False) else 'fp16'
    return choose_precision(name, device_type)


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
