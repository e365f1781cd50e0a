# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model that a training run begins with: with fresh weights, or those of another model."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sparse_seg_ros.config import nearest
from sparse_seg_ros.labels import LabelSet, load_labels
from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.loading.backbones import backbone_of, load_backbone
from sparse_seg_ros.loading.checkpoints import build_model, load_model, load_strictly
from sparse_seg_ros.loading.zoo import find_weights
from sparse_seg_ros.methods.algm import apply
from sparse_seg_ros.methods.sparse_vit.windows import prune, swin_stages
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks import CLASSIFIERS, NETWORKS
from sparse_seg_ros.texts import cut
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.objectives import CLASSIFIER, refining_method
from sparse_seg_ros.training.record import plain
from sparse_seg_ros.training.refiner_start import begin_refiner, freeze_all_but_ensembler
from sparse_seg_ros.training.sources import pictures
from sparse_seg_ros.training.teacher import Teacher

LOG = logging.getLogger(__name__)


def start_model(config: TrainConfig) -> Model:
    """Build the model to train: fresh, or started from the weights of another run."""
    if config.backbone and config.start_from:
        raise ValueError("'backbone' and 'start_from' both name weights to begin with; remove one")
    start = load_named(config.start_from) if config.start_from else None
    if refining_method(config.stage) and start is None:
        raise ValueError("a refiner needs 'start_from': the model file of its dense network")
    gives_backbone = (start is not None and config.stage == 'dense'
                      and start.card.network in CLASSIFIERS)
    model = build_model(start_card(config, None if gives_backbone or start is None else start.card,
                                   start.card.training if start else {}))
    adapt(model, config)
    if config.backbone:
        fill_backbone(model, config.backbone)
    elif gives_backbone:
        copy_backbone(start, model)
    elif start:
        go_on(start, model, config.start_from)
        if config.learns == 'ensembler':
            freeze_all_but_ensembler(start, model, config.start_from)
    if config.begin_as:
        begin_classes(model, config)
    return model


def adapt(model: Model, config: TrainConfig) -> None:
    """Let a network compute as the run wants it."""
    if config.drop_path is not None:
        set_drop_path(model, config.drop_path)
    if config.merge_rule is not None:
        merge_tokens(model, config, config.merge_rule)
    if config.window_sparsity_range is not None:
        prune_windows(model, config)


def go_on(start: Model, model: Model, source: str) -> None:
    """Let a model begin with the network of another, and its refiner if that is of its kind."""
    load_strictly(model.network, shared_tensors(start, model), source)
    begin_refiner(start, model, source)


def shared_tensors(start: Model, model: Model) -> dict[str, Tensor]:
    """Tensors of the network to start from; for other classes those of classes begin anew."""
    tensors, own = start.network.state_dict(), model.network.state_dict()
    if len(start.card.classes) == len(model.card.classes):
        return tensors
    of_classes = class_tensors(start.card, own)
    return {key: own[key] if key in of_classes else tensor for key, tensor in tensors.items()}


def class_tensors(card: ModelCard, tensors: dict[str, Tensor]) -> set[str]:
    """Card of a network, its tensors for other classes -> those whose shape classes decide."""
    with torch.device('meta'):
        others = build_model(replace(card, planes=())).network.state_dict()
    return {key for key, tensor in tensors.items() if others[key].shape != tensor.shape}


def load_named(name: str) -> Model:
    """Zoo name, weights file, run folder or Hugging Face folder -> Model."""
    return load_model(find_weights(name, Path()))


def teachers(config: TrainConfig, model: Model) -> dict[str, Teacher]:
    """Read the `teacher` -> argument of the objective, where there is one."""
    if not config.teacher:
        return {}
    if config.stage not in ('dense', 'refiner'):
        raise ValueError("'teacher' is for dense networks and refiners; remove it from stage "
                         f'{config.stage!r}')
    trained = load_named(config.teacher)
    check_alike(trained.card, model.card, ('classes', 'exposure'), config.teacher)
    return {'teacher': Teacher(trained, model.card, device_of(model))}


def out_of_fold_networks(config: TrainConfig, model: Model) -> dict[str, list[nn.Module]]:
    """
    Read the `out_of_fold_networks` -> arguments of the objective: a dense network per source.

    On frames that its network has learnt from, a refiner would see too few errors, and too timid
    ones; a network that has learnt from other frames errs there as on those to come.
    """
    if not config.out_of_fold_networks:
        return {}
    if config.stage != 'refiner' or model.refiner.needs_features:
        raise ValueError("'out_of_fold_networks' are for a refiner of logits alone; remove them, "
                         "or set 'stage: refiner', an extractor other than network, and 'inputs' "
                         'without features')
    if len(config.out_of_fold_networks) != len(config.splits):
        raise ValueError(f"'out_of_fold_networks' must be one per split, got "
                         f'{len(config.out_of_fold_networks)} for {len(config.splits)}')
    others = {path: load_named(path) for path in config.out_of_fold_networks}
    for path, other in others.items():
        check_alike(other.card, model.card, ('network', 'classes', 'scale'), path)
    networks = [others[path].network.to(device_of(model)) for path in config.out_of_fold_networks]
    return {'networks': networks + [model.network] * (config.street_frames > 0)}


def check_alike(other: ModelCard, card: ModelCard, names: tuple[str, ...], source: str) -> None:
    """Raise ValueError unless a model from a source says the same of these things as a card."""
    for name in names:
        wanted, got = getattr(card, name), getattr(other, name)
        if got != wanted:
            raise ValueError(f'{source} must have the {name} of the model in training, '
                             f'{wanted!r}; got {got!r}')


def device_of(model: Model) -> torch.device:
    """Return where a model's network is."""
    return next(model.network.parameters()).device


def start_card(config: TrainConfig, start: ModelCard | None, history: dict) -> ModelCard:
    """Describe the model that will come out; start: of the same network; history: runs before."""
    method, is_classifier = refining_method(config.stage), config.stage == CLASSIFIER
    network = start.network if start else config.network
    kinds = CLASSIFIERS if is_classifier else NETWORKS
    if network not in kinds and not (start and start.network_config):
        raise ValueError(f'stage {config.stage!r} can not train network {network!r}; '
                         f'{nearest(network, kinds)}')
    if is_classifier:
        names, labels, colors = pictures(config).classes, '', ()
    else:
        label_set = load_labels(config.labels)
        names, labels, colors = label_set.names, label_set.name, label_set.colors
        if start:
            check_labels(start, label_set, config)
    described = start or kinds[network]
    planes, inputs = config.planes if method else (), config.inputs
    if config.stage == 'refiner' and config.extractor == 'network':
        planes, inputs = getattr(kinds.get(network), 'widths', planes), ('rgb',)
    return ModelCard(
        network, names, labels, described.mean, described.std,
        exposure=start.exposure if start else 'as_is',
        scale=1.0 if is_classifier else config.scale,
        planes=planes, inputs=inputs,
        alpha=config.alpha if method else None,
        refined_by=method or 'sparse_refine',
        patch=config.patch if config.stage == 'patch_refine' else 0,
        selector=config.selector, extractor=config.extractor, ensembler=config.ensembler,
        training={**history, config.stage: plain(asdict(config))},
        network_config=config_for(names, start) if start else {}, colors=colors,
        network_options=options_for(config, start),
        licence=start.licence if start else '', source=start.source if start else '')


def options_for(config: TrainConfig, start: ModelCard | None) -> tuple[str, ...]:
    """Return the options of the network to train: those of the model to start from, if any."""
    if start is None:
        return config.network_options
    if config.network_options not in ((), start.network_options):
        raise ValueError(f"'network_options' must be those of {config.start_from}, "
                         f'{list(start.network_options)}, got {list(config.network_options)}; '
                         'remove them')
    return start.network_options


def config_for(classes: tuple[str, ...], start: ModelCard) -> dict:
    """Names of classes, card to start from -> Hugging Face's configuration for them, if any."""
    if not start.network_config or len(classes) == len(start.classes):
        return start.network_config
    return {**start.network_config, 'id2label': dict(enumerate(classes)),
            'label2id': {name: label for label, name in enumerate(classes)}}


def check_labels(start: ModelCard, label_set: LabelSet, config: TrainConfig) -> None:
    """
    Say if a model to start from has other classes.

    Raises ValueError for another number of them where what belongs to them can not begin anew.
    """
    says = (f'{config.start_from} was trained for the classes {cut(", ".join(start.classes))}; '
            f'label set {config.labels} has {cut(", ".join(label_set.names))}')
    if len(start.classes) != len(label_set) and config.stage == 'dense':
        LOG.warning('%s: all is taken but what belongs to the classes', says)
    elif len(start.classes) != len(label_set):
        raise ValueError(f"{says}; set 'labels' to those of the model")
    elif start.classes != label_set.names:
        LOG.warning('%s, in whose order its outputs are taken', says)


def fill_backbone(model: Model, path: str) -> None:
    """Let a network begin with the released weights of its backbone."""
    if backbone_of(model.network) is None:
        raise ValueError(f"network {model.card.network!r} has no backbone that released weights "
                         "fit; name a whole model as 'start_from', or remove 'backbone'")
    left_out = load_backbone(model.network, path)
    if left_out:
        LOG.info('%s: %d tensors that are not of the backbone are left out, such as %r', path,
                 len(left_out), left_out[0])


def set_drop_path(model: Model, rate: float) -> None:
    """Change how many images the blocks of a network leave out."""
    backbone = backbone_of(model.network)
    if not hasattr(backbone, 'set_drop_path'):
        raise ValueError(f"network {model.card.network!r} has no paths to drop; "
                         "remove 'drop_path'")
    backbone.set_drop_path(rate)


def merge_tokens(model: Model, config: TrainConfig, rule: str) -> None:
    """Let tokens of a network merge while it learns, as many in all images of a batch."""
    if config.stage != 'dense':
        raise ValueError(f'stage {config.stage!r} trains no network whose tokens merge; '
                         "remove 'merge_rule'")
    encoder = backbone_of(model.network)
    layers = config.merge_layers or default_layers(len(getattr(encoder, 'blocks', ())))
    apply(model.network, config.merging_of(layers, rule, 'shared'))


def prune_windows(model: Model, config: TrainConfig) -> None:
    """Let a network leave out windows while it learns: SparseViT's sparsity-aware adaptation."""
    if config.stage != 'dense':
        raise ValueError(f'stage {config.stage!r} trains no network whose windows are left out; '
                         "remove 'window_sparsity_range'")
    stages = len(swin_stages(model.network))
    prune(model.network, (config.window_sparsity_range,) * stages)


def default_layers(depth: int) -> tuple[int, int]:
    """Blocks of a network -> the layers where the ALGM paper merges (section 4)."""
    return (1, 7) if depth >= 24 else (1, 5)


def begin_classes(model: Model, config: TrainConfig) -> None:
    """Let the classes of a network begin as those of the released weights that they are like."""
    if not config.backbone or not hasattr(model.network, 'begin_as'):
        raise ValueError("'begin_as' needs a 'backbone' whose weights hold classes, as those of "
                         "network 'mobilenet_edgetpu' do; remove it, or name them")
    released = load_labels(model.network.released_labels).names
    if len(config.begin_as) != len(model.card.classes):
        raise ValueError(f"'begin_as' must name {len(model.card.classes)} classes, one for each "
                         f'of label set {config.labels}; got {len(config.begin_as)}')
    for name in config.begin_as:
        if name not in released:
            raise ValueError("'begin_as' must name classes of the released weights; got "
                             f'{name!r}; {nearest(name, released)}')
    model.network.begin_as(checkpoints.read_tensors(Path(config.backbone)),
                           [released.index(name) for name in config.begin_as])


def copy_backbone(start: Model, model: Model) -> None:
    """Let a segmentation network begin with the backbone of a classifier."""
    if getattr(model.network, 'variant', None) != start.network.variant:
        raise ValueError(f"'start_from' holds {start.card.network}, whose backbone network "
                         f"{model.card.network!r} does not have; set 'network' to one of its size")
    model.network.backbone.load_state_dict(start.network.backbone.state_dict())
