# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Weights on disk: one safetensors file with the tensors and, as metadata, what they are.

A model file carries `network.*` and, if it refines, `refiner.*` tensors, and a JSON ModelCard.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sparse_seg_ros.config import nearest
from sparse_seg_ros.networks import build_network


@dataclass(frozen=True)
class ModelCard:
    """What a model file holds: enough to build it again, and where it comes from."""

    network: str
    classes: tuple[str, ...]
    labels: str                                # label set with the classes' colours
    mean: tuple[float, float, float]           # of RGB in 0..255
    std: tuple[float, float, float]
    scale: float = 1.0                         # dense stage size / image size
    planes: tuple[int, ...] = ()               # of the refiner; empty = none
    inputs: tuple[str, ...] = ('rgb',)         # of the refiner
    alpha_nats: float | None = None            # calibrated with these weights
    temperature: float = 1.0                   # likewise; divides the logits
    training: dict = field(default_factory=dict)
    scores: dict = field(default_factory=dict)


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


def build_model(card: ModelCard) -> Model:
    """Card -> the model it describes, with fresh weights, in evaluation mode."""
    from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
    network = build_network(card.network, len(card.classes)).eval()
    if not card.planes:
        return Model(card, network)
    refiner = SparseRefiner(len(card.classes), card.planes, card.alpha_nats, card.inputs).eval()
    return Model(card, network, refiner)


def save_model(model: Model, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write tensors (floating ones as dtype) and card into one file, complete or not at all."""
    tensors = {f'{name}.{key}': (tensor.to(dtype) if tensor.is_floating_point() else tensor)
               .contiguous() for name, part in model.parts().items()
               for key, tensor in part.state_dict().items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    save_file(tensors, part, {'card': json.dumps(asdict(model.card))})
    part.chmod(0o644)  # safetensors makes it private
    part.rename(path)


def load_model(path: str | Path) -> Model:
    """Model file -> Model on the CPU, in evaluation mode."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no weights file {path}; train one with `sparse_seg train`, or '
                                'give a name from models/zoo.yaml')
    tensors, metadata = read_safetensors(path)
    if 'card' not in metadata:
        raise ValueError(f'{path}: has no model card in its metadata; save it with '
                         'sparse_seg_ros.checkpoints.save_model')
    model = build_model(read_card(metadata['card']))
    for name, part in model.parts().items():
        own = {key.removeprefix(f'{name}.'): value for key, value in tensors.items()
               if key.startswith(f'{name}.')}
        load_strictly(part, own, path)
    return model


def load(module: nn.Module, path: str | Path) -> None:
    """
    Fill a module from a torch or safetensors file in its own key layout or in the released one.

    Wrappers ('state_dict', 'model', 'module.') are taken off. A missing, unexpected or wrongly
    shaped tensor raises ValueError and is named as the file names it.
    """
    tensors, own = read_tensors(Path(path)), released_keys(module)
    if tensors.keys() & own.values() - own.keys():
        own = {key: key for key in own.values()}
    load_strictly(module, tensors, path, own)


def save(module: nn.Module, path: str | Path) -> None:
    """Write a module's tensors as safetensors in the released key layout."""
    own, tensors = released_keys(module), module.state_dict()
    save_file({released: tensors[key].contiguous() for released, key in own.items()}, path)


def released_keys(module: nn.Module) -> dict[str, str]:
    """Released name of every tensor -> its own name; the same without `module.released_name`."""
    released_name = getattr(module, 'released_name', str)
    return {released_name(key): key for key in module.state_dict()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Torch or safetensors file -> its tensors by name, without wrappers."""
    if not path.is_file():
        raise FileNotFoundError(f'no weights file {path}')
    if path.suffix == '.safetensors':
        tensors, _ = read_safetensors(path)
    else:
        try:
            tensors = torch.load(path, map_location='cpu', weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).partition('\n')[0]
            raise ValueError(f'{path}: not a file of plain tensors ({reason}); save the '
                             'state_dict alone') from None
    for wrapper in ('state_dict', 'model'):
        if isinstance(tensors, dict) and isinstance(tensors.get(wrapper), dict):
            tensors = tensors[wrapper]
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise ValueError(f'{path}: holds no tensors by name; save module.state_dict()')
    return {key.removeprefix('module.'): tensor for key, tensor in tensors.items()}


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Safetensors file -> tensors, metadata; ValueError if it is damaged."""
    try:
        with safe_open(path, 'pt') as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f'{path}: not a complete safetensors file ({error}); '
                         'copy it again') from None


def read_card(text: str) -> ModelCard:
    """JSON of a card -> ModelCard, its lists as tuples again."""
    values = json.loads(text)
    return ModelCard(**{key: tuple(value) if isinstance(value, list) else value
                        for key, value in values.items()})


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], source: str | Path,
                  names: dict[str, str] | None = None) -> None:
    """
    Fill a module; a missing, unexpected or wrongly shaped tensor raises and is named.

    names: name in `tensors` -> name in the module, where they differ.
    """
    own_tensors = module.state_dict()
    names = names or {key: key for key in own_tensors}
    expected = {name: own_tensors[key] for name, key in names.items()}
    for key in tensors.keys() - expected.keys():
        raise ValueError(f'{source}: unexpected tensor {key!r}; {nearest(key, expected)}')
    for key, own in expected.items():
        if key not in tensors:
            raise ValueError(f'{source}: tensor {key!r} is missing; '
                             f'{nearest(key, tensors.keys() - expected.keys())}')
        if own.shape != tensors[key].shape:
            raise ValueError(f'{source}: {key!r} must be {tuple(own.shape)}, got '
                             f'{tuple(tensors[key].shape)}; were the weights trained for other '
                             'classes or planes?')
    module.load_state_dict({names[name]: tensor for name, tensor in tensors.items()})
