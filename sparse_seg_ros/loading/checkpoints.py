# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Weights on disk: one safetensors file with the tensors and, as metadata, a ModelCard.

A model file holds tensors `network.*` and, if it refines, `refiner.*`, and a ModelCard in JSON. It
has no `network.*` if the card names a `base`: a file beside it that has them.
"""

from __future__ import annotations

import json
import logging
import pickle
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sparse_seg_ros.config import nearest
from sparse_seg_ros.files import refuse_pointer
from sparse_seg_ros.loading.bases import base_tensors
from sparse_seg_ros.loading.file_bounds import (
    refuse_compressed,
    refuse_oversize,
    refuse_repeated,
)
from sparse_seg_ros.methods.kind import find_kind
from sparse_seg_ros.model_card import Model, ModelCard, read_card
from sparse_seg_ros.networks import build_network, pretrained

LOG = logging.getLogger(__name__)
LOGGED = (  # what MMEngine keeps of a training in each file, beside the weights
    'mmengine.logging.history_buffer.HistoryBuffer', 'builtins.getattr',
    'numpy.ndarray', 'numpy.dtype', 'numpy.core.multiarray._reconstruct',
    'numpy._core.multiarray._reconstruct', 'numpy.core.multiarray.scalar',
    'numpy._core.multiarray.scalar')
WRAPPERS = ('model_ema', 'state_dict_ema', 'state_dict', 'model', 'ema_state_dict')
PARALLEL = 'module.'  # what names begin with in a network trained by several processes
COUNTERS = ('n_averaged', 'steps')  # that averages of weights keep among them
TORCH_STARTS = (b'PK\x03\x04', b'\x80')  # of what torch.save writes: a zip file, or a pickle


def build_model(card: ModelCard) -> Model:
    """Card -> the model it describes, with fresh weights, in evaluation mode."""
    network = (pretrained.from_config(card.network_config) if card.network_config else
               build_network(card.network, len(card.classes), card.network_options)).eval()
    if not card.planes:
        return Model(card, network)
    build_refiner = find_kind(card.refined_by).build_refiner
    if build_refiner is None:
        raise ValueError(f"'refined_by' of a model card must be a method with a refiner, got "
                         f'{card.refined_by!r}')
    return Model(card, network, build_refiner(card, network).eval())


def save_model(model: Model, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """
    Write tensors (floating ones as dtype) and card into one file, complete or not at all.

    Raises ValueError for a value that is not finite in dtype, OSError for a full disk.
    """
    tensors = {f'{name}.{key}': (tensor.to(dtype) if tensor.is_floating_point() else tensor)
               .contiguous() for name, part in model.parts().items()
               if name == 'refiner' or not model.card.base
               for key, tensor in part.state_dict().items()}
    path = Path(path)
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f'{path}: {key!r} would not be finite in {dtype}; keep the weights '
                             'in fp32, or train again')
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    try:
        save_file(tensors, part, {'card': json.dumps(asdict(model.card))})
    except SafetensorError as error:
        part.unlink(missing_ok=True)
        raise OSError(f'{part} can not be written ({error}); is the disk full?') from None
    part.chmod(0o644)  # safetensors makes it private
    part.rename(path)


def load_model(path: str | Path) -> Model:
    """Model file, Hugging Face folder or 'hf:owner/model' -> Model on the CPU, to be evaluated."""
    path = find_model_file(path)
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f'no weights file {path}; train one with `sparse_seg train`, or '
                                'give a name from models/zoo.yaml')
    refuse_torch_file(path)
    tensors, metadata = read_safetensors(path)
    if 'card' not in metadata:
        cure = f'give its folder, {path.parent}' if (path.parent / 'config.json').is_file() else \
            'save it with sparse_seg_ros.loading.checkpoints.save_model'
        raise ValueError(f'{path}: has no model card in its metadata; {cure}')
    card = read_card(metadata['card'], path)
    if card.base:
        tensors |= base_tensors(card.base, path, load_model)
    if card.network_config:  # whose sizes nothing else bounds
        refuse_oversize(partial(build_model, replace(card, base={}, planes=())), tensors, path)
    model = build_model(replace(card, base={}))
    for name, part in model.parts().items():
        own = {key.removeprefix(f'{name}.'): value for key, value in tensors.items()
               if key.startswith(f'{name}.')}
        load_strictly(part, own, path)
    return model


def find_model_file(name: str | Path) -> Path:
    """Path, or 'hf:owner/model' -> weights file, that of a run folder, or Hugging Face folder."""
    path = pretrained.find_folder(name)
    if not path.is_dir() or (path / 'config.json').exists():
        return path
    if (path / 'model.safetensors').is_file():
        return path / 'model.safetensors'
    if (path / 'config.yaml').is_file():
        raise FileNotFoundError(f'{path}: this training has written no model.safetensors yet; it '
                                'does when it validates')
    raise FileNotFoundError(f'{path} holds no model; expected a run folder with model.safetensors,'
                            ' or a Hugging Face folder with config.json')


def is_torch_file(path: Path) -> bool:
    """Tell what torch.save writes by its first bytes; safetensors have a brace after eight."""
    with path.open('rb') as file:
        start = file.read(9)
    return start.startswith(TORCH_STARTS) and not start.endswith(b'{')


def is_model_file(path: str | Path) -> bool:
    """Tell whether a file has a model card, as `save_model` writes it."""
    path = Path(path)
    return path.is_file() and path.suffix == '.safetensors' and not is_torch_file(path) \
        and 'card' in read_safetensors(path)[1]


def refuse_torch_file(path: Path) -> None:
    """Raise ValueError if a file is what torch.save writes: such have no card."""
    if is_torch_file(path):
        raise ValueError(f'{path}: weights saved by torch do not say which network and classes '
                         "they are for; begin a training with them as 'backbone', or read them "
                         'with load and write them with save_model of loading/checkpoints.py')


def read_folder(folder: Path) -> Model:
    """Hugging Face folder -> a model without a refiner."""
    network = pretrained.from_pretrained(folder)
    check_tensors(network.state_dict(), folder)
    config = pretrained.config_of(network)
    return Model(ModelCard(config['model_type'], pretrained.classes_of(network), '', network.mean,
                           network.std, network_config=config), network)


def load(module: nn.Module, path: str | Path) -> None:
    """
    Fill a module from a torch or safetensors file in its own key layout or in the released one.

    Wrappers ('state_dict', 'model', 'module.') are taken off, and what `module.network_tensors`
    leaves out; averaged weights ('model_ema') are preferred where a file has both. A missing,
    unexpected or wrongly shaped tensor raises ValueError and is named as the file names it.
    """
    fill(module, read_tensors(Path(path)), path)


def fill(module: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Do what `load` does with the tensors of a file, which `read_tensors` returns."""
    network_tensors = getattr(module, 'network_tensors', dict)
    tensors, own = network_tensors(tensors), released_keys(module)
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
    refuse_pointer(path)
    if path.suffix == '.safetensors':
        tensors, _ = read_safetensors(path)
    else:
        refuse_compressed(path)
        try:
            with torch.serialization.safe_globals([(Ignored, name) for name in LOGGED]):
                tensors = torch.load(path, map_location='cpu', weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).partition('\n')[0]
            raise ValueError(f'{path}: not a file of plain tensors ({reason}); save the '
                             'state_dict alone') from None
    for wrapper in WRAPPERS:
        if isinstance(tensors, dict) and isinstance(tensors.get(wrapper), dict):
            tensors = tensors[wrapper]
            if 'ema' in wrapper:
                LOG.info('%s: the averaged weights, %r, are taken', path, wrapper)
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise ValueError(f'{path}: holds no tensors by name; save module.state_dict()')
    refuse_repeated(tensors, path)
    if any(key.startswith(PARALLEL) for key in tensors):
        LOG.info('%s: the prefix %r of parallel training is taken off', path, PARALLEL)
    return {key.removeprefix(PARALLEL): tensor for key, tensor in tensors.items()
            if key not in COUNTERS}


class Ignored:
    """Takes the place of LOGGED in a torch file, so that none of their code runs."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Safetensors file -> tensors, metadata; ValueError if it is damaged."""
    refuse_pointer(path)
    try:
        with safe_open(path, 'pt') as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f'{path}: not a complete safetensors file ({error}); '
                         'copy it again') from None


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], source: str | Path,
                  names: dict[str, str] | None = None) -> None:
    """
    Fill a module; a missing, unexpected or wrongly shaped tensor raises and is named.

    names: name in `tensors` -> name in the module, where they differ. A module may name tensors
    that are zero `where_absent`, and take sizes from a file with `fit_sizes`.
    """
    names = names or {key: key for key in module.state_dict()}
    if hasattr(module, 'fit_sizes'):
        module.fit_sizes({names[name]: tensor for name, tensor in tensors.items()
                          if name in names})
    own_tensors = module.state_dict()
    expected = {name: own_tensors[key] for name, key in names.items()}
    absent = {name: torch.zeros_like(expected[name]) for name, key in names.items()
              if key in getattr(module, 'where_absent', ())}
    tensors = {**absent, **tensors}
    for key in sorted(tensors.keys() - expected.keys()):
        raise ValueError(f'{source}: unexpected tensor {key!r}; {nearest(key, expected)}')
    for key, own in expected.items():
        if key not in tensors:
            raise ValueError(f'{source}: tensor {key!r} is missing; '
                             f'{nearest(key, tensors.keys() - expected.keys())}')
        if own.shape != tensors[key].shape:
            raise ValueError(f'{source}: {key!r} must be {tuple(own.shape)}, got '
                             f'{tuple(tensors[key].shape)}; were the weights trained for other '
                             f'{likely_cause(module, own.shape, tensors[key].shape)}')
    check_tensors({name: tensors[name] for name in names}, source)
    module.load_state_dict({names[name]: tensor for name, tensor in tensors.items()})


def check_tensors(tensors: dict[str, Tensor], source: str | Path) -> None:
    """Raise ValueError for values that would make every output not-a-number."""
    for key, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        tensor = tensor.float()
        if not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise ValueError(f'{source}: {key!r} must be finite, got {count} values that are not; '
                             'train or convert the model again')
        if key.endswith('running_var') and (tensor < 0).any():
            raise ValueError(f'{source}: {key!r} is a variance and must be at least 0, got '
                             f'{float(tensor.min()):.3g}; train or convert the model again')


def likely_cause(module: nn.Module, own: torch.Size, actual: torch.Size) -> str:
    """Shapes that differ -> the end of a question: what the weights may have been trained for."""
    classes = getattr(module, 'num_classes', None)
    if own[:1] == (classes,) and own[1:] == actual[1:]:
        return (f'classes? they seem to be for {actual[0]}, the network is for {classes}; build '
                f'it with num_classes={actual[0]}')
    return 'classes or planes?'
