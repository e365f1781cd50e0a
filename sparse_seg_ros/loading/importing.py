# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that others have published -> a Model whose card says what they are and where from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from sparse_seg_ros.files import file_hash
from sparse_seg_ros.labels import LabelSet, load_labels
from sparse_seg_ros.loading.checkpoints import (
    build_model,
    fill,
    is_model_file,
    load_model,
    read_folder,
    read_tensors,
)
from sparse_seg_ros.loading.published import (
    REFINER,
    UNKNOWN_LICENCE,
    Layout,
    Recognised,
    layout_of,
    recognise,
)
from sparse_seg_ros.methods.sparse_refine.released import count_planes
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.pretrained import config_of, find_folder, from_config

ALPHA = 0.3  # until the model is calibrated
DECODERS = ('decode_head.', 'decoder.')  # begin names of what tells the classes


@dataclass(frozen=True)
class Wishes:
    """What the user says of the weights; what is None is found out."""

    network: str = 'auto'
    labels: str | None = None
    scale: float | None = None
    licence: str | None = None
    source: str | None = None


def import_network(path: str | Path, wishes: Wishes) -> tuple[Model, str]:
    """Published file of a dense network -> Model, and what the file was seen to be."""
    if is_model_file(path):
        raise ValueError(f'{path} is a model file of this package already; use it as it is')
    tensors = read_tensors(Path(path))
    if REFINER.telltale not in tensors and any(key.startswith('backbone.') for key in tensors) \
            and not any(key.startswith(DECODERS) for key in tensors):
        raise ValueError(f'{path} holds a backbone without a decoder; begin a training with it as '
                         "'backbone'")
    if wishes.network == 'auto':
        seen = recognise(tensors, path)
    else:
        layout = layout_of(wishes.network, tensors, path)
        seen = Recognised(layout, wishes.network, layout.count_classes(tensors))
    if wishes.labels is None:
        raise ValueError(f'{path} is {seen}; name their label set with --labels')
    labels = load_labels(wishes.labels)
    check_classes(seen, labels, path)
    network, config = build(seen, tensors, labels.names)
    fill(network, tensors, path)
    card = ModelCard(seen.network, labels.names, labels.name, network.mean, network.std,
                     scale=wishes.scale or 1.0, colors=labels.colors, network_config=config)
    return Model(with_origin(card, path, seen.layout, wishes), network.eval()), str(seen)


def build(seen: Recognised, tensors: dict[str, Tensor], classes: tuple[str, ...]
          ) -> tuple[nn.Module, dict]:
    """Build a network as a file needs it -> with random weights; its configuration if it has."""
    if seen.layout.read_config is None:
        return build_network(seen.network, len(classes)), {}
    network = from_config(seen.layout.read_config(tensors, classes))
    return network, config_of(network)


def check_classes(seen: Recognised, labels: LabelSet, path: str | Path) -> None:
    """Raise ValueError unless a file has as many classes as the label set."""
    if seen.num_classes not in (None, len(labels)):
        raise ValueError(f'{path} is {seen}, but label set {labels.name!r} has {len(labels)}; '
                         'name the label set of the weights with --labels')


def import_refiner(path: str | Path, base: str | Path, wishes: Wishes, alpha: float | None
                   ) -> tuple[Model, str]:
    """Published file of SparseRefine, model file of its dense network -> Model, what it is."""
    tensors, dense = read_tensors(Path(path)), load_model(base)
    planes, num_classes = count_planes(tensors), REFINER.count_classes(tensors)
    if not planes or num_classes is None:
        raise ValueError(f"{path}: must be a refiner of SparseRefine's release, got other names "
                         f"without {REFINER.telltale!r}; leave out --base to import a network")
    if num_classes != len(dense.card.classes):
        raise ValueError(f'{path} refines {num_classes} classes, but {base} has '
                         f'{len(dense.card.classes)}; name the network that it was trained with')
    licence = '; '.join(filter(None, (
        f'refiner: {wishes.licence or REFINER.licence}',
        dense.card.licence and f'network: {dense.card.licence}')))
    card = replace(dense.card, planes=planes, inputs=('rgb',), scale=wishes.scale or 0.5,
                   alpha=ALPHA if alpha is None else alpha, uncertain_limit=None, scores={})
    model = build_model(card)
    model.network.load_state_dict(dense.network.state_dict())
    fill(model.refiner, tensors, path)
    card = with_origin(card, path, REFINER, replace(wishes, licence=licence))
    if dense.card.source:
        card = replace(card, source=f'{card.source}; network: {dense.card.source}')
    seen = f'refiner of SparseRefine with {len(planes)} stages, {num_classes} classes'
    return replace(model, card=card), seen


def import_folder(path: str | Path, wishes: Wishes) -> tuple[Model, str]:
    """Hugging Face folder, or 'hf:owner/model' -> Model, and what the folder was seen to be."""
    folder = find_folder(path)
    model = read_folder(folder)
    card = model.card
    seen = f'{card.network} of Hugging Face, {len(card.classes)} classes'
    if wishes.labels is not None:
        labels = load_labels(wishes.labels)
        if len(labels) != len(card.classes):
            raise ValueError(f'{path} is {seen}, but label set {labels.name!r} has {len(labels)};'
                             " leave out --labels to take the folder's own classes")
        card = replace(card, classes=labels.names, labels=labels.name, colors=labels.colors)
    card = replace(card, scale=wishes.scale or 1.0)
    layout = Layout('Hugging Face', '', ('', 0), (), licence_of(folder))
    return replace(model, card=with_origin(card, path, layout, wishes)), seen


def licence_of(folder: Path) -> str:
    """Return the licence that the README of a Hugging Face folder names."""
    readme = folder / 'README.md'
    found = re.search(r'^licen[cs]e:[ \t]*(\S.*)$', readme.read_text(), re.MULTILINE) \
        if readme.is_file() else None
    return f'{found[1].strip()} (README of the folder)' if found else UNKNOWN_LICENCE


def with_origin(card: ModelCard, path: str | Path, layout: Layout, wishes: Wishes) -> ModelCard:
    """Write into a card where its weights come from, and the terms that they come under."""
    weights = weights_file(find_folder(path))
    about = {'file': Path(path).name, 'sha256': file_hash(weights), 'layout': layout.publisher}
    history = {key: value for key, value in card.training.items() if key != 'imported'}
    if 'imported' in card.training:
        about['network'] = card.training['imported']
    return replace(card, licence=wishes.licence or layout.licence,
                   source=wishes.source or f'{layout.publisher}: {Path(path).name}',
                   training={**history, 'imported': about})


def weights_file(path: Path) -> Path:
    """File, or Hugging Face folder -> file with the weights, or the first of them."""
    if not path.is_dir():
        return path
    return min((*path.glob('*.safetensors'), *path.glob('pytorch_model*.bin')))
