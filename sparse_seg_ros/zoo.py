# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a segmenter: models/zoo.yaml, method YAMLs and weights files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from sparse_seg_ros.checkpoints import Model, load_model
from sparse_seg_ros.config import MethodConfig, from_mapping, nearest, read_yaml
from sparse_seg_ros.dense_stage import dense_stage
from sparse_seg_ros.engines.activation import ADAPTERS
from sparse_seg_ros.files import file_hash, share
from sparse_seg_ros.labels import LabelSet, find_labels, load_labels
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.methods.dense import Dense
from sparse_seg_ros.methods.patch_refine.method import PatchRefine
from sparse_seg_ros.methods.point_rend.method import PointRend
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.networks import CLASSIFIERS, for_inference
from sparse_seg_ros.networks.pretrained import HUB, find_folder
from sparse_seg_ros.networks.sliding import Windows
from sparse_seg_ros.segmenter import PRECISIONS, Method, Segmenter, own_precisions

REFINING = {'sparse_refine': SparseRefine, 'point_rend': PointRend, 'patch_refine': PatchRefine}


def load(name: str | Path = 'demo', device: str = 'auto', precision: str = 'auto') -> Segmenter:
    """
    Zoo name, method YAML, .safetensors file or Hugging Face model -> a Segmenter to call.

    Raises FileNotFoundError for missing files and ValueError for what does not fit together.
    """
    model, config, weights = find_model(name)
    return assemble(model, config, device, precision, {
        'model': str(name), 'weights': weights.name, 'weights_hash': file_hash(weights)})


def find_model(name: str | Path) -> tuple[Model, MethodConfig, Path]:
    """Name of a model, as for `load` -> model, its settings, its weights file or folder."""
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
    """Zoo name, 'hf:owner/model' or path, relative to folder -> path of weights file or folder."""
    if name.startswith(HUB):
        return find_folder(name)
    if Path(name).suffix == '.safetensors':
        return folder / name
    zoo = read_yaml(share() / 'models' / 'zoo.yaml')
    if name not in zoo and (folder / name).is_dir():
        return folder / name
    if name not in zoo:
        raise ValueError(f'no model {name!r} in models/zoo.yaml; {nearest(name, zoo)}')
    weights = share() / 'models' / zoo[name]['file']
    if weights.is_file() and file_hash(weights) != zoo[name]['sha256']:
        raise ValueError(f'{weights} is not the file that models/zoo.yaml names: its sha256 is '
                         f"{file_hash(weights)}, not {zoo[name]['sha256']}; copy it again")
    return weights


def own_config(model: Model) -> MethodConfig:
    """Return the settings a weights file runs with when no YAML says otherwise."""
    return MethodConfig(method='dense' if model.refiner is None else model.card.refined_by,
                        scale=model.card.scale)


def assemble(model: Model, config: MethodConfig, device: str, precision: str,
             description: dict[str, str]) -> Segmenter:
    """Put a model under a method, on a device; its own weights stay as they are published."""
    if model.card.network in CLASSIFIERS:
        raise ValueError(f'{model.card.network} tells what a picture shows, not what its pixels '
                         "are; train a segmentation with it as 'start_from'")
    device = choose_device(device)
    asked, precision = precision, choose_precision(precision, device)
    if config.method in REFINING and model.refiner is None:
        raise ValueError(f'{description.get("weights", "these weights")} hold no refiner; use '
                         "'method: dense' or train one with `sparse_seg train`")
    # ONNX Runtime and TensorRT choose for themselves what 'auto' means: not all have bf16.
    stage = dense_stage(replace(model, network=for_inference(model.network)), config, device,
                        asked if config.engine in ADAPTERS else precision)
    if model.refiner is not None:
        model.refiner.to(device, memory_format=torch.channels_last)
    method = build_method(replace(model, network=stage.network), config,
                          description.get('weights', 'these weights'))
    exposure = model.card.exposure if config.exposure == 'auto' else config.exposure
    segment = Segmenter(method, label_set(model), model.card.mean, model.card.std,
                        exposure=exposure, device=device, precision=precision,
                        sizes_hw=stage.sizes_hw,
                        description={'method': config.method, 'backend': 'torch',
                                     **stage.description, **description})
    if config.alpha_nats >= 0:
        segment.alpha = config.alpha_nats
    return segment


def build_method(model: Model, config: MethodConfig, source: str) -> Method:
    """Put a model's parts under the method that the settings name; source: of the weights."""
    temperature = config.temperature or model.card.temperature
    if config.method == 'dense':
        return Dense(model.network, config.scale, temperature, windows_of(config))
    if config.method == 'algm':
        return Algm(model.network, merging_of(config), config.scale, temperature,
                    windows_of(config))
    if model.card.refined_by != config.method:
        raise ValueError(f"{source} were trained for {model.card.refined_by!r}, not for "
                         f"{config.method!r}; change 'method'")
    refiner = model.refiner
    if config.method == 'sparse_refine':
        refiner = folded(chosen_parts(model, config))
    method = REFINING[config.method](model.network, refiner, config.scale, temperature)
    method.budget = config.budget
    if isinstance(method, PointRend):
        method.points = config.points
    return method


def chosen_parts(model: Model, config: MethodConfig) -> nn.Module:
    """Return the refiner with the selector and ensembler that the settings name."""
    refiner = model.refiner.with_parts(config.selector, config.ensembler)
    if refiner.parts.selector != model.card.selector and config.alpha_nats < 0:
        raise ValueError(f'selector {config.selector!r} needs its own alpha_nats, from 0 to '
                         f'{refiner.selector.most:.3g}: that of the weights belongs to '
                         f'{model.card.selector!r}')
    return refiner


def windows_of(config: MethodConfig) -> Windows | None:
    """Return the windows of a method's settings, None where it sees all of the image at once."""
    if not config.window:
        if config.stride:
            raise ValueError(f"setting 'stride' {config.stride} needs a 'window', such as "
                             '[512, 512]')
        return None
    for name in ('window', 'stride'):
        sides = getattr(config, name)
        if sides and not (len(sides) == 2 and all(type(side) is int for side in sides)):
            raise ValueError(f'setting {name!r} must be two numbers of pixels, height and width, '
                             f'such as [512, 512], got {list(sides)}')
    return Windows(config.window, config.stride or config.window)


def merging_of(config: MethodConfig) -> Merging:
    """Return how tokens merge by a method's settings."""
    return Merging(config.merge_layers, config.merge_threshold, config.merge_rule,
                   config.merge_window, config.merge_shares, config.merge_tokens)


def label_set(model: Model) -> LabelSet:
    """Return the card's label set; it must have the classes the weights were trained for."""
    if not model.card.labels:
        return find_labels(model.card.classes)
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
        return own_precisions()[-1]
    if name not in PRECISIONS:
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)}; got {name!r}")
    return name
