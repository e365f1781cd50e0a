# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a segmenter: models/zoo.yaml, method YAMLs and weights files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import nn

from sparse_seg_ros.config import MethodConfig, from_mapping, nearest
from sparse_seg_ros.device import choose_device, choose_precision
from sparse_seg_ros.engines.activation import ADAPTERS
from sparse_seg_ros.files import file_hash, refuse_pointer, share
from sparse_seg_ros.labels import LabelSet, find_labels, load_labels
from sparse_seg_ros.loading.auto_method import choose, common_scores, scores_of
from sparse_seg_ros.loading.checkpoints import Model, find_model_file, is_torch_file, load_model
from sparse_seg_ros.loading.dense_stage import dense_stage, sizes_of
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.methods.dense import Dense
from sparse_seg_ros.methods.patch_refine.method import PatchRefine
from sparse_seg_ros.methods.point_rend.method import PointRend
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.networks import CLASSIFIERS, for_inference
from sparse_seg_ros.networks.pretrained import HUB
from sparse_seg_ros.networks.sliding import Windows
from sparse_seg_ros.segmenter import Method, Segmenter
from sparse_seg_ros.sparse.backend import backend_of, name_of
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import read_yaml

LOG = logging.getLogger(__name__)
REFINING = {'sparse_refine': SparseRefine, 'point_rend': PointRend, 'patch_refine': PatchRefine}
Found = tuple[Model, MethodConfig, Path]  # a model, its settings, its weights file or folder


def load(name: str | Path = 'demo', device: str = 'auto', precision: str = 'auto',
         method: str = 'own', limits: Mapping[str, float] | None = None) -> Segmenter:
    """
    Zoo name, method YAML, .safetensors file or Hugging Face model -> a Segmenter to call.

    method: one to run instead of the model's own. limits: 'alpha' and 'budget' that the calls will
    ask for, under which method auto compares. Raises FileNotFoundError for missing files and
    ValueError for what does not fit together.
    """
    model, config, weights = find_model(name)
    if method != 'own':
        config = under(method, config)
    if config.method == 'auto':
        return load_best(name, (model, config, weights), device, precision, limits or {})
    return assemble(model, config, device, precision, origin(name, weights))


def origin(name: str | Path, weights: Path) -> dict[str, str]:
    """Return what describes where a model comes from."""
    return {'model': str(name), 'weights': weights.name, 'weights_hash': file_hash(weights)}


def under(method: str, config: MethodConfig) -> MethodConfig:
    """Return the settings of another method, without those that it does not have."""
    foreign = {item.name: item.default for item in fields(config)
               if method not in (item.metadata['methods'] or (method,))}
    return replace(config, method=method, **foreign)


def load_best(name: str | Path, found: Found, device: str, precision: str,
              limits: Mapping[str, float]) -> Segmenter:
    """Load a model by method auto: refined, or the same network at full resolution; log why."""
    model, config, _ = found
    full = find_full(model, config)
    if model.refiner is None or full is None:
        raise ValueError('method auto needs weights with a refiner, and those of the same network '
                         "at full resolution; name these as 'full' in a method YAML, or use "
                         'another method')
    models = {'refined': (model, under(model.card.refined_by, config), found[2]), 'full': full}
    rivals = {key: assemble(one, settings, device, precision, origin(name, weights))
              for key, (one, settings, weights) in models.items()}
    scores = {'refined': scores_of(model.card, config, limits), 'full': full[0].card.scores}
    taken, why = choose(rivals, scores, sizes_of(config), limits)
    LOG.log(logging.INFO if common_scores(**scores) else logging.WARNING,
            'method auto takes %s', why)
    rivals[taken].choice = rivals[taken].description['method choice'] = f'auto takes {why}'
    return rivals[taken]


def load_resolutions(name: str | Path, device: str = 'auto', precision: str = 'auto'
                     ) -> dict[str, Segmenter]:
    """
    Load a model that refines: 'unrefined', 'refined', and 'full' = its network at full size.

    Empty for one that does not refine; without 'full' where no such model is known.
    """
    model, config, weights = find_model(name)
    if model.refiner is None or config.method not in (*REFINING, 'auto'):
        return {}
    models = {'unrefined': (model, under('dense', config), weights),
              'refined': (model, under(model.card.refined_by, config), weights),
              'full': find_full(model, config)}
    return {key: assemble(*found[:2], device, precision, origin(name, found[2]))
            for key, found in models.items() if found}


def find_full(model: Model, config: MethodConfig) -> Found | None:
    """
    Model that refines, its settings -> the same network at full resolution, to be run densely.

    None where none is known. Raises ValueError for one that is not the same network.
    """
    name = config.full or read_zoo().get(config.weights, {}).get('full', '')
    if not name:
        return None
    full, own, weights = find_model(name)
    for what in ('network', 'classes'):
        one, other = (cut(', '.join([value] if isinstance(value, str) else value)) for value in
                      (getattr(full.card, what), getattr(model.card, what)))
        if getattr(full.card, what) != getattr(model.card, what):
            raise ValueError(f"the model that 'full' names has the {what} {one}, the refined one "
                             f'{other}; name one with the same {what}')
    scale = config.scale or model.card.scale
    if own.scale <= scale:
        raise ValueError(f"the model that 'full' names sees images at scale {own.scale:g}, the "
                         f'refined one at {scale:g}; name one with a larger scale')
    shared = {item.name: getattr(config, item.name) for item in fields(config)
              if item.name.startswith(('engine', 'exposure'))}
    return full, replace(under('dense', own), **shared), weights


def find_model(name: str | Path) -> Found:
    """Name of a model, as for `load` -> model, its settings, its weights file or folder."""
    path = Path(name)
    if path.suffix in ('.yaml', '.yml'):
        config = from_mapping(MethodConfig, read_yaml(path), str(path))
        if config.engine_folder:
            folder = path.parent / Path(config.engine_folder).expanduser()
            config = replace(config, engine_folder=str(folder.resolve()))
        weights = find_weights(config.weights, path.parent)
        if config.full and config.full not in read_zoo():
            config = replace(config, full=str(find_weights(config.full, path.parent)))
        return load_model(weights), config, weights
    weights = find_weights(str(name), Path())
    model = load_model(weights)
    return model, replace(own_config(model), weights=str(name)), weights


def find_weights(name: str, folder: Path) -> Path:
    """Zoo name, 'hf:owner/model' or path, relative to folder -> path of weights file or folder."""
    zoo = read_zoo()
    if name not in zoo:
        return find_own(name, folder, zoo)
    weights = share() / 'models' / zoo[name]['file']
    if weights.is_file():
        refuse_pointer(weights)
    if weights.is_file() and file_hash(weights) != zoo[name]['sha256']:
        raise ValueError(f'{weights} is not the file that models/zoo.yaml names: its sha256 is '
                         f"{file_hash(weights)}, not {zoo[name]['sha256']}; copy it again")
    return weights


def read_zoo() -> dict[str, dict]:
    """Return the models that ship, by name."""
    return read_yaml(share() / 'models' / 'zoo.yaml')


def find_own(name: str, folder: Path, zoo: Iterable[str]) -> Path:
    """Name that is not in the zoo -> path; an error tells what it may have been meant for."""
    if name.startswith(HUB):
        return find_model_file(name)
    path = folder / name
    if path.is_dir():
        return find_model_file(path)
    if path.suffix == '.safetensors' or path.is_file() and is_torch_file(path):
        return path  # load_model says what is wrong with it
    if path.is_file():
        raise ValueError(f'{path} is no model; expected a .safetensors file, a method YAML, a run '
                         'folder, a Hugging Face folder or a name from models/zoo.yaml')
    if '/' in name or path.suffix:
        raise FileNotFoundError(f'no model {path}; expected the path of one, or a name from '
                                f"models/zoo.yaml: {', '.join(zoo)}")
    raise ValueError(f'no model {cut(repr(name))} in models/zoo.yaml; {nearest(name, zoo)}')


def own_config(model: Model) -> MethodConfig:
    """Return the settings a weights file runs with when no YAML says otherwise."""
    return MethodConfig(method='dense' if model.refiner is None else model.card.refined_by,
                        scale=model.card.scale)


def assemble(model: Model, config: MethodConfig, device: str, precision: str,
             description: dict[str, str]) -> Segmenter:
    """Put a model under a method, on a device; its own weights stay as they are published."""
    if config.method == 'auto':
        raise ValueError('method auto compares two models, which is not done here; name the '
                         'method, such as sparse_refine')
    config = replace(config, scale=config.scale or model.card.scale)
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
    if config.method == 'sparse_refine' and model.refiner.parts.convolves:
        description = {'backend': name_of(backend_of(torch.device(device).type)), **description}
    exposure = model.card.exposure if config.exposure == 'auto' else config.exposure
    segment = Segmenter(method, label_set(model), model.card.mean, model.card.std,
                        exposure=exposure, device=device, precision=precision,
                        sizes_hw=stage.sizes_hw,
                        description={'network': model.card.network, 'method': config.method,
                                     **stage.description, **description})
    return segment.with_limits(alpha=None if config.alpha_nats < 0 else config.alpha_nats,
                               budget=None if config.budget == 1 else config.budget)


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
                             f'such as [512, 512], got {cut(repr(list(sides)))}')
    return Windows(config.window, config.stride or config.window)


def merging_of(config: MethodConfig) -> Merging:
    """Return how tokens merge by a method's settings."""
    return Merging(config.merge_layers, config.merge_threshold, config.merge_rule,
                   config.merge_window, config.merge_shares, config.merge_tokens)


def label_set(model: Model) -> LabelSet:
    """
    Return the card's label set: its own, or the one that it names.

    One that is named must have the classes the weights were trained for.
    """
    if not model.card.labels and not model.card.colors:
        return find_labels(model.card.classes)
    if model.card.colors:
        return LabelSet(model.card.labels or 'unnamed', model.card.classes, model.card.colors)
    try:
        labels = load_labels(model.card.labels)
    except FileNotFoundError:  # of a training elsewhere, by a version that kept the name alone
        LOG.warning('there is no label set %r here; the classes get colours of chance',
                    model.card.labels)
        return replace(find_labels(model.card.classes), name=Path(model.card.labels).stem)
    if labels.names != tuple(model.card.classes):
        raise ValueError(f'label set {labels.name!r} has classes {labels.names}, the weights were '
                         f'trained for {tuple(model.card.classes)}')
    return labels
