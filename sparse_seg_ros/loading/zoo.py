# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a segmenter: models/zoo.yaml, method YAMLs and weights files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path

from sparse_seg_ros.config import nearest
from sparse_seg_ros.files import file_hash, refuse_pointer, share
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.auto_method import choose, common_scores, scores_of
from sparse_seg_ros.loading.checkpoints import find_model_file, is_torch_file, load_model
from sparse_seg_ros.loading.dense_stage import sizes_of
from sparse_seg_ros.loading.method_config import as_method, own_config, read_method
from sparse_seg_ros.methods import AUTO
from sparse_seg_ros.methods.kind import MethodConfig
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks.pretrained import HUB
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import read_yaml

LOG = logging.getLogger(__name__)
Source = tuple[Model, MethodConfig, Path]  # a model, its settings, its weights file or folder


def load(name: str | Path = 'demo', device: str = 'auto', precision: str = 'auto',
         method: str | None = None, limits: Mapping[str, float] | None = None) -> Segmenter:
    """
    Zoo name, method YAML, .safetensors file or Hugging Face model -> a Segmenter to call.

    method: one to run instead of the model's own, if any. limits: 'alpha' and 'budget' that the
    calls will ask for, under which method auto compares. Raises FileNotFoundError for missing
    files and ValueError for what does not fit together.
    """
    model, config, weights = find_model(name)
    if method is not None:
        config = as_method(method, config)
    if config.method == AUTO:
        return load_best(name, (model, config, weights), device, precision, limits or {})
    segment = assemble(model, config, device, precision, origin(name, weights))
    segment.origin = terms_of(model.card, config.weights)
    return segment


def origin(name: str | Path, weights: Path) -> dict[str, str]:
    """Return what describes where a model comes from."""
    return {'model': str(name), 'weights': weights.name, 'weights_hash': file_hash(weights)}


def load_best(name: str | Path, source: Source, device: str, precision: str,
              limits: Mapping[str, float]) -> Segmenter:
    """Load a model by method auto: refined, or the same network at full resolution; log why."""
    model, config, weights = source
    full = find_full(model, config)
    if model.refiner is None or full is None:
        raise ValueError('method auto needs weights with a refiner, and those of the same network '
                         "at full resolution; name these as 'full' in a method YAML, or use "
                         'another method')
    models = {'refined': (model, as_method(model.card.refined_by, config), weights),
              'full': full}
    rivals = {key: assemble(one, settings, device, precision, origin(name, weights))
              for key, (one, settings, weights) in models.items()}
    scores = {'refined': scores_of(model.card, config, limits), 'full': full[0].card.scores}
    for key, (one, settings, _) in models.items():
        rivals[key].origin = terms_of(one.card, settings.weights)
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
    if model.refiner is None or config.method == 'dense':
        return {}
    models = {'unrefined': (model, as_method('dense', config), weights),
              'refined': (model, as_method(model.card.refined_by, config), weights),
              'full': find_full(model, config)}
    return {key: assemble(*source[:2], device, precision, origin(name, source[2]))
            for key, source in models.items() if source}


def terms_of(card: ModelCard, name: str | Path) -> dict[str, str]:
    """Card, name of the weights -> 'licence' and 'source' as the card or the zoo says."""
    entry = read_zoo().get(str(name), {})
    terms = {what: getattr(card, what) or entry.get(what, '') for what in ('licence', 'source')}
    return {what: text for what, text in terms.items() if text}


def find_full(model: Model, config: MethodConfig) -> Source | None:
    """
    Model that refines, its settings -> the same network at full resolution, to be run densely.

    None where none is known. Raises ValueError for one that is not the same network.
    """
    name = getattr(config, 'full', None) or read_zoo().get(config.weights, {}).get('full', '')
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
    return full, replace(as_method('dense', own), **shared), weights


def find_model(name: str | Path) -> Source:
    """Name of a model, as for `load` -> model, its settings, its weights file or folder."""
    path = Path(name)
    if path.suffix in ('.yaml', '.yml'):
        config = read_method(read_yaml(path), str(path))
        if config.engine_folder:
            folder = path.parent / Path(config.engine_folder).expanduser()
            config = replace(config, engine_folder=str(folder.resolve()))
        weights = find_weights(config.weights, path.parent)
        full = getattr(config, 'full', None)
        if full and full not in read_zoo():
            config = replace(config, full=str(find_weights(full, path.parent)))
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


