# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What runs the dense network of a model: torch, or the engine that the method YAML names."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparse_seg_ros.config import read_size
from sparse_seg_ros.engines import activation
from sparse_seg_ros.engines.activation import Job
from sparse_seg_ros.engines.cache import default_folder
from sparse_seg_ros.engines.contract import Shape
from sparse_seg_ros.engines.network import EngineNetwork, with_maps_for
from sparse_seg_ros.engines.with_torch import TorchEngine
from sparse_seg_ros.messages.status import FALLBACK
from sparse_seg_ros.methods.kind import MethodConfig, find_kind
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks import padded_size
from sparse_seg_ros.networks.images import shrunk_hw
from sparse_seg_ros.timing import interleaved

LOG = logging.getLogger(__name__)
TRIALS = 3  # of each engine, before the faster one is taken
NO_ENGINE = (ImportError, ValueError, OSError, RuntimeError)


@dataclass(frozen=True)
class DenseStage:
    """A network to be called, how it is described, and the sizes of images that it takes."""

    network: Any
    description: dict[str, str]
    sizes_hw: tuple[tuple[int, int], ...] = field(default=())  # empty: any


def dense_stage(model: Model, config: MethodConfig, device: str, precision: str) -> DenseStage:
    """
    Model, settings, device and precision -> its network on the device.

    precision may be 'auto' for ONNX Runtime and TensorRT, which choose for themselves.

    Where an engine cannot be had, engine_failure decides: the error, or torch, with a warning and
    the reason in the description.
    """
    needs_torch = find_kind(config.method).needs_torch
    if config.engine == 'auto' and not needs_torch:
        return on_faster(model, config, device, precision)
    if config.engine in ('auto', 'torch'):
        return on_torch(model.network, device)
    if needs_torch:
        raise ValueError(f'method {config.method!r} needs engine torch, got {config.engine!r}; '
                         'write engine: torch or auto')
    open_stage = on_torch_compile if config.engine == 'torch_compile' else on_engine
    jobs = list_jobs(model, config, device, precision)  # what it raises is no engine's failure
    try:
        return open_stage(config, jobs)
    except NO_ENGINE as error:
        if config.engine_failure == 'refuse':
            raise
        reason = f'engine {config.engine}: {error}'
        LOG.warning('the network runs on torch instead; %s', reason)
        stage = on_torch(model.network, device)
        return DenseStage(stage.network, {**stage.description, FALLBACK: reason})


def on_faster(model: Model, config: MethodConfig, device: str, precision: str) -> DenseStage:
    """
    Return torch or, on a CPU that has it, ONNX Runtime: the one that was faster here, just now.

    Torch, too, where no size is known, or ONNX Runtime does not say what torch says.
    """
    stage = on_torch(model.network, device)
    if device != 'cpu' or not config.engine_sizes:
        return stage
    config = replace(config, engine='onnxruntime')
    jobs = list_jobs(model, config, device, 'auto')
    try:
        rival = on_engine(config, jobs)
    except NO_ENGINE as error:
        LOG.info('torch runs the network, as there is no engine onnxruntime: %s', error)
        return stage
    eager = TorchEngine(model.network, device, precision)
    images = [torch.zeros(job.shape).contiguous(memory_format=torch.channels_last)
              for job in jobs]
    with torch.inference_mode():
        seconds = interleaved({name: lambda run=run: [run(image) for image in images]
                               for name, run in (('torch', eager),
                                                 ('onnxruntime', rival.network))}, TRIALS)
    LOG.info('the network takes torch %.0f ms and onnxruntime %.0f ms',
             *(1e3 * spent for spent in seconds.values()))
    return rival if seconds['onnxruntime'] < seconds['torch'] else stage


def on_torch(network: nn.Module, device: str) -> DenseStage:
    """Return the network itself; the segmenter sets its precision."""
    network.to(device, memory_format=torch.channels_last)
    return DenseStage(network, {'engine': f'torch {torch.__version__}'})


def on_torch_compile(config: MethodConfig, jobs: list[Job]) -> DenseStage:
    """Compile the network for its sizes now, not at the first frame."""
    engine = TorchEngine(jobs[0].network, jobs[0].device, jobs[0].precision, is_compiled=True)
    with torch.inference_mode():
        for job in jobs:
            engine(torch.zeros(job.shape, device=job.device))
    if engine.failure:
        raise ValueError(f'torch.compile failed ({engine.failure}); install a C++ compiler, or '
                         'set engine: torch')
    return DenseStage(engine, {'engine': engine.about}, sizes_of(config))


def on_engine(config: MethodConfig, jobs: list[Job]) -> DenseStage:
    """Find or build the engines of all sizes, and check them."""
    engines, agreement = activation.activate_all(jobs)
    return DenseStage(EngineNetwork(jobs[0].network, engines, config.engine_sizes),
                      {'engine': engines[0].about, 'engine check': agreement}, sizes_of(config))


def list_jobs(model: Model, config: MethodConfig, device: str, precision: str) -> list[Job]:
    """Return the engines that a method asks for, one for each size of image."""
    if not config.engine_sizes:
        raise ValueError(f'engine {config.engine} needs to know the size of your images; add '
                         'engine_sizes: [HxW], like [1024x2048], to the method YAML')
    if config.engine in activation.ADAPTERS:
        precision = activation.choose_precision(config.engine, precision, device)
    folder = Path(config.engine_folder) if config.engine_folder else default_folder()
    refiner = model.refiner if config.method == 'sparse_refine' else None
    network = with_maps_for(refiner, model.network)
    return [Job(network, config.engine, dense_shape(model.network, size_hw, config.scale),
                precision, device, model.card.mean, model.card.std, folder)
            for size_hw in sizes_of(config)]


def sizes_of(config: MethodConfig) -> tuple[tuple[int, int], ...]:
    """Return engine_sizes as numbers."""
    return tuple(read_size(size, 'a size in engine_sizes') for size in config.engine_sizes or ())


def dense_shape(network: Any, size_hw: tuple[int, int], scale: float, batch: int = 1) -> Shape:
    """Size of an image -> shape of the input of the network: shrunken, then padded."""
    return (batch, 3, *padded_size(network, shrunk_hw(size_hw, scale)))
