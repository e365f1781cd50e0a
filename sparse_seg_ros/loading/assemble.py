# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A model and the settings of a method -> a segmenter."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from sparse_seg_ros.cuda_graphs import FrameGraphs
from sparse_seg_ros.device import choose_device, choose_precision
from sparse_seg_ros.engines.activation import ADAPTERS
from sparse_seg_ros.labels import LabelSet, find_labels, load_labels
from sparse_seg_ros.loading.dense_stage import dense_stage
from sparse_seg_ros.methods import AUTO
from sparse_seg_ros.methods.kind import MethodConfig, find_kind
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks import CLASSIFIERS, for_inference
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.sparse.backend import backend_of, name_of

LOG = logging.getLogger(__name__)


def assemble(model: Model, config: MethodConfig, device: str, precision: str,
             description: dict[str, str]) -> Segmenter:
    """Put a model under a method, on a device; its own weights stay as they are published."""
    if config.method == AUTO:
        raise ValueError('method auto compares two models, which is not done here; name the '
                         'method, such as sparse_refine')
    kind, source = find_kind(config.method), description.get('weights', 'these weights')
    check_refiner(model, config.method, source, config.scale)
    config = filled(config, model)
    device = choose_device(device)
    asked, precision = precision, choose_precision(precision, device)
    # ONNX Runtime and TensorRT choose for themselves what 'auto' means: not all have bf16.
    stage = dense_stage(replace(model, network=for_inference(model.network)), config, device,
                        asked if config.engine in ADAPTERS else precision)
    if model.refiner is not None:
        model.refiner.to(device, memory_format=torch.channels_last)
    method = kind.build(replace(model, network=stage.network), config)
    if method.convolves:
        description = {'backend': name_of(backend_of(torch.device(device).type)), **description}
    segment = Segmenter(method, label_set(model), model.card.mean, model.card.std,
                        exposure=config.exposure, device=device, precision=precision,
                        sizes_hw=stage.sizes_hw,
                        description={'network': model.card.network, 'method': config.method,
                                     **stage.description, **description})
    segment.uncertain_limit = config.uncertain_limit
    if config.cuda_graph:
        segment.graphs = make_graphs(segment)
    return segment.with_limits(alpha=getattr(config, 'alpha', None),
                               budget=getattr(config, 'budget', None))


def make_graphs(segment: Segmenter) -> FrameGraphs:
    """Return what records the frames of a segmenter; ValueError where none can be recorded."""
    if segment.description['engine'].startswith('onnxruntime'):
        raise ValueError("'cuda_graph' needs engine torch, torch_compile or tensorrt, got "
                         "'onnxruntime'; leave one of them out")
    if segment.device.type != 'cuda':
        raise ValueError(f"'cuda_graph' needs a CUDA device, got {segment.device}; leave it out")
    if not segment.has_static_shapes:
        raise ValueError("'cuda_graph' needs frames that are computed without a look at what they "
                         f'show, and those of {segment.description["method"]!r} are not; leave it'
                         ' out')
    return FrameGraphs(segment.normalisation)


def check_refiner(model: Model, method: str, source: str, scale: float | None = None) -> None:
    """Raise ValueError unless a model is what a method can run; source: of the weights."""
    card = model.card
    if card.network in CLASSIFIERS:
        raise ValueError(f'{card.network} tells what a picture shows, not what its pixels are; '
                         "train a segmentation with it as 'start_from'")
    if find_kind(method).build_refiner is None:
        return
    if model.refiner is None:
        raise ValueError(f"{source} hold no refiner; use 'method: dense' or train one with "
                         '`sparse_seg train`')
    if card.refined_by != method:
        raise ValueError(f'{source} were trained for {card.refined_by!r}, not for {method!r}; '
                         "change 'method'")
    if (scale or card.scale) > 1:
        raise ValueError(f'a refiner looks closer than the dense stage, whose scale must be at '
                         f"most 1, got {scale or card.scale}; use 'method: dense'")


def filled(config: MethodConfig, model: Model) -> MethodConfig:
    """Return the settings with those of the weights where they are null."""
    own = {name: getattr(model.card, name) for name in ('scale', 'exposure', 'temperature')}
    if all(getattr(config, name) in (None, value) for name, value in own.items()):
        own['uncertain_limit'] = model.card.uncertain_limit  # holds for these values alone
    return replace(config, **{name: value for name, value in own.items()
                              if getattr(config, name) is None})


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
