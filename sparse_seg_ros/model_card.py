# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model file says about itself. It is checked at once, because a card can be wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from sparse_seg_ros.config import nearest
from sparse_seg_ros.labels import is_color
from sparse_seg_ros.normalisation import EXPOSURES, Normalisation
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import MOST_BYTES

Part = TypeVar('Part', bound=nn.Module)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def is_tuple_of(is_right: Callable[[Any], bool], length: int | None = None
                ) -> Callable[[Any], bool]:
    """Return what tells whether a value is a tuple of such, of this length if there is one."""
    return lambda value: isinstance(value, tuple) and all(map(is_right, value)) \
        and length in (None, len(value))


def is_text(value: Any) -> bool:
    """Tell whether a value is a string."""
    return isinstance(value, str)


def is_positive(value: Any) -> bool:
    """Tell whether a value is a finite number above 0."""
    return is_number(value) and value > 0


def is_base(value: Any) -> bool:
    """Tell whether a value names no file, or one without a folder by its name and sha256."""
    return value == {} or (
        isinstance(value, dict) and value.keys() == {'file', 'sha256'}
        and all(map(is_text, value.values())) and Path(value['file']).name == value['file'] != '')


LARGEST_SCALE = 4.0
MOST_PLANES = 4096  # of a layer: a card of some bytes must not ask for terabytes
FORMER = {'alpha_nats': 'alpha'}  # names in files of earlier versions
CHECKS = {  # field of a card -> what it must be, and what tells whether it is
    'network': ('text', is_text),
    'classes': ('names', is_tuple_of(is_text)),
    'labels': ('text', is_text),
    'mean': ('three finite numbers', is_tuple_of(is_number, 3)),
    'std': ('three finite numbers above 0', is_tuple_of(is_positive, 3)),
    'exposure': ("'as_is' or 'lifted'", lambda value: value in EXPOSURES),
    'scale': (f'above 0 and at most {LARGEST_SCALE:g}',
              lambda value: is_positive(value) and value <= LARGEST_SCALE),
    'refined_by': ('text', is_text),
    'planes': (f'whole numbers from 1 to {MOST_PLANES}', is_tuple_of(
        lambda part: type(part) is int and 0 < part <= MOST_PLANES)),
    'patch': ('a whole number', lambda value: type(value) is int and value >= 0),
    'inputs': ('names', is_tuple_of(is_text)),
    'alpha': ('a number from 0, or nothing',
                   lambda value: value is None or is_number(value) and value >= 0),
    'temperature': ('a finite number above 0', is_positive),
    'uncertain_limit': ('a number above 0 and at most 1, or nothing',
                        lambda value: value is None or is_positive(value) and value <= 1),
    'selector': ('text', is_text),
    'extractor': ('text', is_text),
    'ensembler': ('text', is_text),
    'training': ('a mapping', lambda value: isinstance(value, dict)),
    'scores': ('a mapping', lambda value: isinstance(value, dict)),
    'network_config': ('a mapping', lambda value: isinstance(value, dict)),
    'network_options': ("texts such as 'decoder_width=128'", is_tuple_of(is_text)),
    'base': ("'file', a name without a folder, and 'sha256'", is_base),
    'colors': ('[r, g, b] in 0..255 for every class', is_tuple_of(is_color)),
    'licence': ('text', is_text),
    'source': ('text', is_text),
}


@dataclass(frozen=True)
class ModelCard:
    """
    What a model file holds: enough to build it again, and where it comes from.

    Raises ValueError for values that no model can have, such as a standard deviation of 0.
    """

    network: str
    classes: tuple[str, ...]
    labels: str                                # name of the label set; '' = that of the classes
    mean: tuple[float, float, float]           # of RGB in 0..255
    std: tuple[float, float, float]
    exposure: str = 'as_is'                    # of an image before it is normalised
    scale: float = 1.0                         # dense stage size / image size
    refined_by: str = 'sparse_refine'          # method that the refiner belongs to
    planes: tuple[int, ...] = ()               # of the refiner; empty = none
    patch: int = 0                             # side of the refiner's patches, pixels
    inputs: tuple[str, ...] = ('rgb',)         # of the refiner
    alpha: float | None = None                 # calibrated with these weights
    temperature: float = 1.0                   # calibrated, too; divides the logits
    uncertain_limit: float | None = None       # calibrated; of the uncertain fraction of a frame
    selector: str = 'entropy'                  # of the refiner, as the next two
    extractor: str = 'unet'
    ensembler: str = 'gated'
    training: dict = field(default_factory=dict)
    scores: dict = field(default_factory=dict)
    network_config: dict = field(default_factory=dict)  # of a network from a Hugging Face folder
    network_options: tuple[str, ...] = ()  # of a network in NETWORKS that has some
    base: dict = field(default_factory=dict)  # file of the network, in the file of a refiner alone
    colors: tuple[tuple[int, int, int], ...] = ()  # of the classes; empty = as `labels` says
    licence: str = ''  # of the weights; empty = not known
    source: str = ''   # where the weights come from

    def normalisation(self, device: torch.device | str) -> Normalisation:
        """Return how images become what the network sees, on a device."""
        return Normalisation(self.mean, self.std, self.exposure, device)

    def __post_init__(self):
        for name, (expected, is_right) in CHECKS.items():
            value = getattr(self, name)
            if not is_right(value):
                raise ValueError(f'{name!r} of a model card must be {expected}, got '
                                 f'{cut(repr(value))}')
        if self.colors and len(self.colors) != len(self.classes):
            raise ValueError(f'a model card must have as many colours as classes, got '
                             f'{len(self.colors)} for {len(self.classes)}')

    def require_alpha(self) -> float:
        """Return alpha; ValueError for a card of a refiner without one."""
        if self.alpha is None:
            raise ValueError(f"'alpha' of a model card must be a number for the refiner of "
                             f'{self.refined_by!r}, got nothing; export the model again')
        return self.alpha


@dataclass(frozen=True)
class Model:
    """A network, its refiner or None, and the card that describes them."""

    card: ModelCard
    network: nn.Module
    refiner: nn.Module | None = None

    def parts(self) -> dict[str, nn.Module]:
        """Return the modules by the name that prefixes their tensors."""
        parts = {'network': self.network, 'refiner': self.refiner}
        return {name: part for name, part in parts.items() if part is not None}

    def require_refiner(self, kind: type[Part]) -> Part:
        """Return the refiner; ValueError unless it is one of this kind."""
        if not isinstance(self.refiner, kind):
            have = 'none' if self.refiner is None else f'a {type(self.refiner).__name__}'
            raise ValueError(f'the model must have a {kind.__name__} as its refiner, got {have}; '
                             'train one with `sparse_seg train`')
        return self.refiner


def read_card(text: str, source: str | Path) -> ModelCard:
    """JSON of a card -> ModelCard, its lists as tuples again; source: for the errors."""
    if len(text) > MOST_BYTES:
        raise ValueError(f'{source}: its model card must be at most {MOST_BYTES >> 20} MiB, got '
                         f'{len(text)} bytes; export the model again')
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(f'{source}: its model card is no JSON object; export the model again')
    values = {FORMER.get(name, name): value for name, value in values.items()}
    known = {item.name: item for item in fields(ModelCard)}
    for name in values:
        if name not in known:
            raise ValueError(f'{source}: unknown {cut(repr(name))} in the model card; '
                             f'{nearest(name, known)}, or update sparse_seg_ros')
    for name, item in known.items():
        has_default = item.default is not MISSING or item.default_factory is not MISSING
        if name not in values and not has_default:
            raise ValueError(f'{source}: {name!r} is missing in the model card; export the model '
                             'again')
    try:
        return ModelCard(**{name: frozen(value) for name, value in values.items()})
    except ValueError as error:
        raise ValueError(f'{source}: {error}; export the model again') from None


def frozen(value: Any) -> Any:
    """Lists, and lists in them, -> tuples; anything else stays as it is."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value
