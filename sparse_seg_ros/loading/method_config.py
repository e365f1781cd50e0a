# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of a method, from YAML. A setting that the method does not have is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sparse_seg_ros.config import from_mapping, setting
from sparse_seg_ros.methods import AUTO, method_names
from sparse_seg_ros.methods.kind import MethodConfig, find_kind
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.texts import cut


@dataclass(frozen=True)
class AutoConfig(SparseRefineConfig):
    """Settings of method auto: those of refinement, and the model that it compares with."""

    full: str | None = setting(
        None, 'the same network at full resolution, which auto compares with; named like weights; '
        'null: as models/zoo.yaml says')


def settings_of(method: str) -> type[MethodConfig]:
    """Name of a method -> its settings."""
    return AutoConfig if method == AUTO else find_kind(method).settings


def read_method(values: Any, source: str) -> MethodConfig:
    """
    Content of a method YAML -> its settings.

    Raises ValueError for a setting that is unknown, or that means nothing to the chosen method.
    """
    chosen = values.get('method', MethodConfig.method) if isinstance(values, Mapping) else None
    if chosen not in method_names():
        return from_mapping(MethodConfig, values, source)  # says what is wrong
    own = names_of(settings_of(chosen))
    for name in values:
        others = [] if name in own else [
            method for method in method_names() if name in names_of(settings_of(method))]
        if others:
            raise ValueError(f'{source}: setting {name!r} is for method '
                             f'{cut(" or ".join(others))}, not {chosen!r}; leave it out')
    return from_mapping(settings_of(chosen), values, source)


def names_of(kind: type) -> set[str]:
    """Return the names of settings, and those that they had before."""
    return {name for item in fields(kind) for name in (item.name, item.metadata['former']) if name}


def as_method(method: str, config: MethodConfig) -> MethodConfig:
    """Return the settings of another method: those that both have, and its own defaults."""
    kind = settings_of(method)
    shared = {item.name: getattr(config, item.name) for item in fields(config)
              if item.name in names_of(kind)}
    return kind(**{**shared, 'method': method})


def own_config(model: Model) -> MethodConfig:
    """Return the settings a weights file runs with when no YAML says otherwise."""
    method = 'dense' if model.refiner is None else model.card.refined_by
    return find_kind(method).settings(method, scale=model.card.scale)
