# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model that a training run begins with: fresh, or started from the weights of another."""

from __future__ import annotations

from dataclasses import asdict

from sparse_seg_ros.checkpoints import Model, ModelCard, build_model, load_model
from sparse_seg_ros.config import nearest
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.networks import CLASSIFIERS, NETWORKS
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.sources import pictures


def start_model(config: TrainConfig) -> Model:
    """Build the model to train: fresh, or started from the weights of another run."""
    start = load_model(config.start_from) if config.start_from else None
    if config.stage == 'refiner' and start is None:
        raise ValueError("a refiner needs 'start_from': the model file of its dense network")
    gives_backbone = (start is not None and config.stage == 'dense'
                      and start.card.network in CLASSIFIERS)
    network = config.network if start is None or gives_backbone else start.card.network
    model = build_model(start_card(config, network, start.card.training if start else {}))
    if config.drop_path >= 0:
        set_drop_path(model, config.drop_path)
    if gives_backbone:
        copy_backbone(start, model)
    elif start:
        model.network.load_state_dict(start.network.state_dict())
        if model.refiner is not None and start.refiner is not None:
            model.refiner.load_state_dict(start.refiner.state_dict())
    return model


def start_card(config: TrainConfig, network: str, history: dict) -> ModelCard:
    """Describe the model that will come out; history: the runs before this one."""
    is_refiner, is_classifier = (config.stage == stage for stage in ('refiner', 'classifier'))
    kinds = CLASSIFIERS if is_classifier else NETWORKS
    if network not in kinds:
        raise ValueError(f'stage {config.stage!r} can not train network {network!r}; '
                         f'{nearest(network, kinds)}')
    if is_classifier:
        names, labels = pictures(config).classes, ''
    else:
        label_set = load_labels(config.labels)
        names, labels = label_set.names, label_set.name
    kind = kinds[network]
    return ModelCard(network, names, labels, kind.mean, kind.std,
                     1.0 if is_classifier else config.scale,
                     config.planes if is_refiner else (), config.inputs,
                     config.alpha_nats if is_refiner else None,
                     training={**history, config.stage: plain(asdict(config))})


def set_drop_path(model: Model, rate: float) -> None:
    """Change how many images the blocks of a network leave out."""
    backbone = getattr(model.network, 'backbone', None)
    if not hasattr(backbone, 'set_drop_path'):
        raise ValueError(f"network {model.card.network!r} has no paths to drop; "
                         "remove 'drop_path'")
    backbone.set_drop_path(rate)


def copy_backbone(start: Model, model: Model) -> None:
    """Let a segmentation network begin with the backbone of a classifier."""
    if getattr(model.network, 'variant', None) != start.network.variant:
        raise ValueError(f"'start_from' holds {start.card.network}, whose backbone network "
                         f"{model.card.network!r} does not have; set 'network' to one of its size")
    model.network.backbone.load_state_dict(start.network.backbone.state_dict())


def plain(values: dict) -> dict:
    """Turn tuples into lists, for YAML."""
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()}
