# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a method is to the rest of the package, and what its KIND says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sparse_seg_ros.config import Settings, nearest, setting
from sparse_seg_ros.methods import METHODS, method_names
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import Limits, Request
from sparse_seg_ros.model_card import LARGEST_SCALE, Model, ModelCard
from sparse_seg_ros.normalisation import EXPOSURES
from sparse_seg_ros.timing import Stopwatch

ENGINES = ('auto', 'torch', 'torch_compile', 'onnxruntime', 'tensorrt')


class Method(Protocol):
    """
    How a frame is segmented. It keeps nothing of a frame, so that threads may share it.

    The network sees images at `scale` x their size. refiner: looks again at some pixels; None
    without one. temperature: divides the logits before they become probabilities. optional: the
    OPTIONAL outputs that it can make. needs_truth: whether a part of it is an oracle. selector:
    the score that is compared with alpha; 'entropy' is the one of the coarse logits. convolves:
    whether a part of it is made of sparse convolutions.
    """

    temperature: float

    @property
    def network(self) -> Any: ...

    @property
    def refiner(self) -> nn.Module | None: ...

    @property
    def scale(self) -> float: ...

    @property
    def optional(self) -> tuple[str, ...]: ...

    @property
    def needs_truth(self) -> bool: ...

    @property
    def selector(self) -> str: ...

    @property
    def convolves(self) -> bool: ...

    def __call__(self, images: Tensor, request: Request, clock: Stopwatch) -> MethodOutput:
        """(B, 3, H, W) normalised -> MethodOutput, its stages timed by the clock."""
        ...

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """Tell whether the host need not learn what an image shows before its frame is done."""
        ...

    def limits(self) -> Limits:
        """Return the limits that a request may set, by name: 'alpha', 'budget', or neither."""
        ...

    def coarse_logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, h, w) of the dense stage."""
        ...

    def scores(self, images: Tensor, request: Request) -> Tensor:
        """(B, 3, H, W) normalised -> (B, h, w) scores that are compared with alpha."""
        ...

    def full_logits(self, images: Tensor, request: Request) -> Tensor:
        """(B, 3, H, W) normalised -> (B, C, H, W) of every pixel. Large: for calibration only."""
        ...

    def count_macs(self, size_hw: tuple[int, int], refined: Any,
                   work: Any) -> dict[str, int]:
        """
        Size of an image, (1, H, W) bool where refined -> multiply-accumulates per stage.

        refined: None of a method without a refiner. work: of the MethodOutput.
        """
        ...


@dataclass(frozen=True)
class MethodConfig(Settings):
    """Settings that all methods have in common."""

    method: str = setting('sparse_refine', 'how a frame is segmented', choices=method_names)
    weights: str = setting('demo', 'name in models/zoo.yaml, path of a .safetensors file or of a '
                           "Hugging Face folder, or 'hf:owner/model' on its hub")
    scale: float | None = setting(
        None, 'dense stage size / image size; null: the scale of the weights; above 1 for a dense '
        'network that learnt on larger images', at_least=0.05, at_most=LARGEST_SCALE)
    exposure: str | None = setting(
        None, 'dark images are taken as_is, or lifted to the brightness of the training; null: as '
        'with the weights', choices=EXPOSURES)
    temperature: float | None = setting(
        None, 'divides the logits before they become probabilities; null: the value calibrated '
        'with the weights', at_least=0.01, at_most=20.0)
    uncertain_limit: float | None = setting(
        None, 'a frame of which a larger fraction is uncertain is not such as the model knows; '
        'null: the value calibrated with the weights', at_least=0.0001, at_most=1.0)
    engine: str = setting('auto', 'what runs the dense network; auto: on a CPU the faster of '
                          'torch and ONNX Runtime, if engine_sizes are given',
                          choices=ENGINES)
    engine_sizes: tuple[str, ...] | None = setting(
        None, 'sizes HxW of the camera images that engines are built for; null: any, on torch',
        example='[1024x2048]')
    engine_folder: str | None = setting(
        None, 'folder of the engines, relative to this file; null: ~/.cache/sparse_seg_ros')
    engine_failure: str = setting('refuse', 'without a working engine: refuse to start, or run '
                                  'torch with a warning', choices=('refuse', 'torch'))
    cuda_graph: bool = setting(
        False, 'a GPU replays what it did for a frame of the same size, alpha and budget; frames '
        'with a deadline excepted')


def scale_and_temperature(config: MethodConfig, card: ModelCard) -> tuple[float, float]:
    """Return both of the settings, or of the weights where they are null."""
    return (card.scale if config.scale is None else config.scale,
            card.temperature if config.temperature is None else config.temperature)


@dataclass(frozen=True)
class RefiningConfig(MethodConfig):
    """Settings of the methods that look again at a part of the pixels."""

    budget: float | None = setting(
        None, 'refine at most this fraction of the pixels, the most uncertain; null: no limit',
        at_least=0.0, at_most=1.0)


@dataclass(frozen=True)
class ThresholdConfig(RefiningConfig):
    """Settings of the methods that choose these pixels by a threshold."""

    alpha: float | None = setting(
        None, 'refine pixels above this entropy in nats, or score of another selector; null: the '
        'value calibrated with the weights', at_least=0.0, former='alpha_nats')


@dataclass(frozen=True)
class Kind:
    """
    All that the rest of the package has to know about a method.

    settings: what its YAML may say. build: model, settings -> the method. build_refiner: card,
    network -> its refiner, untrained; None without a refiner. stage: name of the training that
    makes its weights; '' without a training of its own. objective: model, class weights and, by
    name, what else the training has -> a module that gives the loss of a batch. needs_torch:
    whether it changes what happens within its network, which other engines have no way to do.
    """

    settings: type[MethodConfig]
    build: Callable[[Model, Any], Method]
    build_refiner: Callable[[ModelCard, nn.Module], nn.Module] | None = None
    stage: str = ''
    objective: Callable[..., nn.Module] | None = None
    needs_torch: bool = False


def find_kind(name: str) -> Kind:
    """Name in METHODS -> its KIND; ValueError for another name."""
    if name not in METHODS:
        raise ValueError(f'unknown method {name!r}; {nearest(name, method_names())}')
    return import_module(METHODS[name]).KIND
