# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of a refiner, where it has a file of its own, for example because of its licence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn


def name_base(network: nn.Module, path: str | Path, base: nn.Module) -> dict[str, str]:
    """
    Network of a refiner, model file and the network in it -> `base` of a card.

    Raises ValueError unless both networks are the same.
    """
    if network_hash(base) != network_hash(network):
        raise ValueError(f'{path} holds another network than the one that is refined; name the '
                         "file that its training had as 'start_from'")
    return {'file': Path(path).name, 'sha256': network_hash(base)}


def base_tensors(base: dict[str, str], refiner: Path, load: Callable[[Path], Any]
                 ) -> dict[str, Tensor]:
    """
    Return the tensors of the network that lies beside the file of a refiner alone, by full name.

    base: as in the card; load: model file -> Model. Raises FileNotFoundError if it is not there,
    ValueError if it is another.
    """
    path = refiner.parent / base['file']
    if not path.is_file():
        raise FileNotFoundError(f'{refiner} holds a refiner alone, whose network must lie beside '
                                f'it, and there is no {path}; copy or import it there')
    network = load(path).network
    if network_hash(network) != base['sha256']:
        raise ValueError(f'{path} is not the network of {refiner.name}: the sha256 of its tensors '
                         f"is {network_hash(network)}, not {base['sha256']}; copy or import the "
                         'right one')
    return {f'network.{key}': tensor for key, tensor in network.state_dict().items()}


def network_hash(network: nn.Module) -> str:
    """Return the sha256, in hex, of a network's tensors and their names, whatever their file."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
