# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that a backbone was pre-trained with, most often on ImageNet, put into a network."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from sparse_seg_ros.loading.checkpoints import (
    is_model_file,
    load_strictly,
    read_tensors,
    released_keys,
)
from sparse_seg_ros.networks.vit.encoder import VisionTransformer

PARTS = ('backbone', 'encoder')  # names of the part that is trained on pictures


def backbone_of(network: nn.Module) -> nn.Module | None:
    """Return the part of a network that is trained on ImageNet; None where there is none."""
    return next((getattr(network, part) for part in PARTS if hasattr(network, part)), None)


def load_backbone(network: nn.Module, path: str | Path) -> list[str]:
    """
    Fill the backbone of a network from a published file -> names in it that are left out.

    The file holds a whole network, of any classes, or its backbone alone, perhaps with a
    classifier of pictures; a model file, such as import writes, will do, too. Positions of a
    vision transformer are interpolated to the images of the network. A missing or wrongly shaped
    tensor raises ValueError.
    """
    backbone = backbone_of(network)
    if backbone is None:
        raise ValueError(f'{type(network).__name__} has no backbone that {path} could fill')
    part = next(part for part in PARTS if hasattr(network, part))
    if is_model_file(path):
        own = own_tensors(path, part)
        if isinstance(backbone, VisionTransformer):
            fit_positions(backbone, own)
        load_strictly(backbone, own, path)
        return []
    has_own_names = hasattr(backbone, 'released_name')
    translate = getattr(backbone if has_own_names else network, 'network_tensors', dict)
    names = released_keys(backbone) if has_own_names else {
        released: key for released, key in released_keys(network).items()
        if key.startswith(f'{part}.')}
    tensors = translate(with_prefix(translate(read_tensors(Path(path))), names))
    wanted = {key: tensor for key, tensor in tensors.items() if key in names}
    if isinstance(backbone, VisionTransformer):
        fit_positions(backbone, wanted)
    fill_part(backbone if has_own_names else network, wanted, names, path)
    return sorted(tensors.keys() - wanted.keys())


def own_tensors(path: str | Path, part: str) -> dict[str, Tensor]:
    """Model file, name of a part of its network -> the tensors of that part, by its own names."""
    prefix = f'network.{part}.'
    return {key.removeprefix(prefix): tensor for key, tensor in read_tensors(Path(path)).items()
            if key.startswith(prefix)}


def with_prefix(tensors: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """Give the names of a backbone alone the prefix that they have in a whole network."""
    prefix = next(iter(names)).partition('.')[0] + '.'
    if tensors.keys() & names.keys() or not all(name.startswith(prefix) for name in names):
        return tensors
    return {f'{prefix}{key}': tensor for key, tensor in tensors.items()}


def fit_positions(encoder: VisionTransformer, tensors: dict[str, Tensor]) -> None:
    """Interpolate the positions among some tensors, where they are of images of another size."""
    for key, tensor in tensors.items():
        if key.endswith('pos_embed') and tensor.shape != encoder.pos_embed.shape:
            tensors[key] = encoder.resized(tensor)


def fill_part(module: nn.Module, tensors: dict[str, Tensor], names: dict[str, str],
              path: str | Path) -> None:
    """Fill some tensors of a module; the others stay as they are."""
    own = module.state_dict()
    rest = {key: own[key] for key in own.keys() - set(names.values())}
    idle = {key: own[key] for key in getattr(module, 'where_absent', ())}  # of any size in a file
    translated = {names[name]: tensor for name, tensor in tensors.items()}
    load_strictly(module, {**translated, **rest, **idle}, path)
