# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a segmenter: models/zoo.yaml, method YAMLs and weights files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from sparse_seg_ros.checkpoints import Model, load_model
from sparse_seg_ros.config import MethodConfig, from_mapping, nearest, read_yaml
from sparse_seg_ros.dense_stage import dense_stage
from sparse_seg_ros.engines.activation import ADAPTERS
from sparse_seg_ros.files import file_hash, share
from sparse_seg_ros.labels import LabelSet, load_labels
from sparse_seg_ros.methods.dense import Dense
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.segmenter import PRECISIONS, Segmenter


def load(name: str | Path = 'demo', device: str = 'auto', precision: str = 'auto') -> Segmenter:
    """
    Zoo name, method YAML or .safetensors file -> a Segmenter, ready to call.

    Raises FileNotFoundError for missing files and ValueError for what does not fit together.
    """
    model, config, weights = find_model(name)
    return assemble(model, config, device, precision, {
        'model': str(name), 'weights': weights.name, 'weights_hash': file_hash(weights)})


def find_model(name: str | Path) -> tuple[Model, MethodConfig, Path]:
    """Zoo name, method YAML or .safetensors file -> model, its settings, its weights file."""
    path = Path(name)
    if path.suffix in ('.yaml', '.yml'):
        config = from_mapping(MethodConfig, read_yaml(path), str(path))
        if config.engine_folder:
            folder = path.parent / Path(config.engine_folder).expanduser()
            config = replace(config, engine_folder=str(folder.resolve()))
        weights = find_weights(config.weights, path.parent)
        return load_model(weights), config, weights
    weights = find_weights(str(name), Path())
    model = load_model(weights)
    return model, replace(own_config(model), weights=str(name)), weights


def find_weights(name: str, folder: Path) -> Path:
    """Zoo name or path, relative to folder -> path of the weights file."""
    if Path(name).suffix == '.safetensors':
        return folder / name
    zoo = read_yaml(share() / 'models' / 'zoo.yaml')
    if name not in zoo:
        raise ValueError(f'no model {name!r} in models/zoo.yaml; {nearest(name, zoo)}')
    weights = share() / 'models' / zoo[name]['file']
    if weights.is_file() and file_hash(weights) != zoo[name]['sha256']:
        raise ValueError(f'{weights} is not the file that models/zoo.yaml names: its sha256 is '
                         f"{file_hash(weights)}, not {zoo[name]['sha256']}; copy it again")
    return weights


def own_config(model: Model) -> MethodConfig:
    """Return the settings a weights file runs with when no YAML says otherwise."""
    return MethodConfig(method='dense' if model.refiner is None else 'sparse_refine',
                        scale=model.card.scale)


def assemble(model: Model, config: MethodConfig, device: str, precision: str,
             description: dict[str, str]) -> Segmenter:
    """Put a model under a method, on a device."""
    device = choose_device(device)
    asked, precision = precision, choose_precision(precision, device)
    if config.method != 'dense' and model.refiner is None:
        raise ValueError(f'{description.get("weights", "these weights")} hold no refiner; use '
                         "'method: dense' or train one with `sparse_seg train`")
    # ONNX Runtime and TensorRT choose for themselves what 'auto' means: not all have bf16.
    stage = dense_stage(model, config, device,
                        asked if config.engine in ADAPTERS else precision)
    temperature = config.temperature or model.card.temperature
    if config.method == 'dense':
        method = Dense(stage.network, config.scale, temperature)
    else:
        refiner = model.refiner.to(device, memory_format=torch.channels_last)
        method = SparseRefine(stage.network, refiner, config.scale, temperature)
        method.budget = config.budget
    segment = Segmenter(method, label_set(model), model.card.mean, model.card.std,
                        device=device, precision=precision, sizes_hw=stage.sizes_hw,
                        description={'method': config.method, 'backend': 'torch',
                                     **stage.description, **description})
    if config.alpha_nats >= 0:
        segment.alpha = config.alpha_nats
    return segment


def label_set(model: Model) -> LabelSet:
    """Return the card's label set; it must have the classes the weights were trained for."""
    labels = load_labels(model.card.labels)
    if labels.names != tuple(model.card.classes):
        raise ValueError(f'label set {labels.name!r} has classes {labels.names}, the weights were '
                         f'trained for {tuple(model.card.classes)}')
    return labels


def choose_device(name: str) -> str:
    """'auto' -> 'cuda' where there is one, else 'cpu'; any other torch device is checked."""
    if name == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f'device must be auto, cpu, cuda or cuda:N, got {name!r}') from None
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device {name!r} asked for, but torch finds no CUDA here; use cpu or '
                         'install the CUDA build of torch')
    return name


def choose_precision(name: str, device: str) -> str:
    """'auto' -> fp16 on CUDA, bf16 on a CPU that multiplies it natively, else fp32."""
    if name == 'auto':
        if device != 'cpu':
            return 'fp16'
        return 'bf16' if torch.cpu._is_avx512_bf16_supported() else 'fp32'
    if name not in PRECISIONS:
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)}; got {name!r}")
    return name
