# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Built engines on disk: an artefact, and a JSON sidecar that says exactly what it is.

A file is used only if its sidecar names the same key and its own sha256. Everything else, a
damaged file or one from another version, GPU or model, is built again; the log says why.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparse_seg_ros.engines.contract import Shape
from sparse_seg_ros.files import file_hash

LOG = logging.getLogger(__name__)
FORMAT = 1  # of sidecar and self-check; raise it when older files must be built again


@dataclass(frozen=True)
class Key:
    """Everything an artefact depends on; another value of any part is another artefact."""

    weights: str         # sha256 of the network's tensors
    engine: str
    engine_version: str
    device: str          # cpu, or the name of the GPU
    precision: str
    batch: int
    size_hw: tuple[int, int]
    exporter: str        # version of torch, whose exporter wrote the graph
    package: str         # version of this package
    format: int = FORMAT

    @property
    def shape(self) -> Shape:
        """(B, 3, h, w)."""
        return (self.batch, 3, *self.size_hw)

    @property
    def stem(self) -> str:
        """File name without suffix; versions are left out, so that a new one replaces the old."""
        height, width = self.size_hw
        device = re.sub('[^a-z0-9]+', '-', self.device.lower())
        return (f'{self.weights[:12]}-{self.engine}-{device}-{self.precision}-'
                f'{self.batch}x{height}x{width}')


@dataclass(frozen=True)
class Sidecar:
    """The JSON beside an artefact: its key, hashes of its files, and what was measured."""

    key: Key
    hashes: dict[str, str]  # file name -> sha256
    about: dict[str, Any]   # agreement with torch, versions of the tools


def weights_hash(network: nn.Module) -> str:
    """Return the sha256 of a network's tensors and their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def default_folder() -> Path:
    """Return where engines are kept unless a method YAML says otherwise."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'sparse_seg_ros'


def find(key: Key, folder: Path, suffix: str) -> Path | None:
    """Key -> its artefact, or None, with the reason in the log."""
    path = folder / f'{key.stem}{suffix}'
    reason = why_not(path, key)
    if reason is None:
        return path
    LOG.warning('engine %s is built: %s', path, reason)
    return None


def why_not(path: Path, key: Key) -> str | None:
    """Return why a file is not the artefact of a key; None if it is."""
    if not path.is_file():
        return why_missing(path.parent, key)
    try:
        sidecar = read(path)
    except (ValueError, OSError) as error:
        return str(error)
    other = differences(sidecar.key, key)
    return f'the one there is of {other}' if other else None


def why_missing(folder: Path, key: Key) -> str:
    """Return how the most similar artefact in a folder differs from a key."""
    mismatches = []
    for path in folder.glob('*.json') if folder.is_dir() else ():
        try:
            mismatches.append(differences(read_sidecar(path).key, key))
        except (ValueError, OSError):
            continue
    if not mismatches:
        return f'{folder} holds none yet'
    nearest = min(mismatches, key=lambda text: text.count(';'))
    return f'none there is of this key; the nearest is of {nearest}'


def differences(old: Key, new: Key) -> str:
    """Return the parts in which two keys differ, in words; empty if they are equal."""
    wanted = asdict(new)
    return '; '.join(f'another {name.replace("_", " ")} ({cut(value)}, not '
                     f'{cut(wanted[name])})' for name, value in asdict(old).items()
                     if value != wanted[name])


def cut(value: Any) -> str:
    """Return a part of a key, hashes cut short."""
    if isinstance(value, tuple):
        return 'x'.join(map(str, value))
    return str(value)[:12] if re.fullmatch('[0-9a-f]{64}', str(value)) else str(value)


def sidecar_of(path: Path) -> Path:
    """Artefact -> its sidecar."""
    return path.with_name(f'{path.name}.json')


def read(path: Path) -> Sidecar:
    """
    Artefact -> its sidecar, after its files were compared with the hashes in there.

    Raises FileNotFoundError without artefact or sidecar, ValueError if one is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no engine {path}; build it with `sparse_seg export engine '
                                '--model MODEL --engine ... --size HxW`')
    sidecar = read_sidecar(sidecar_of(path))
    for name, expected in sidecar.hashes.items():
        file = path.with_name(name)
        if not file.is_file() or file_hash(file) != expected:
            raise ValueError(f'{file} is damaged or not the one that {sidecar_of(path).name} '
                             'describes; build it again with `sparse_seg export engine`')
    return sidecar


def read_sidecar(path: Path) -> Sidecar:
    """JSON file -> Sidecar; ValueError if it is not one."""
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing, so nothing says what {path.stem} is; build '
                                'it again with `sparse_seg export engine`')
    try:
        content = json.loads(path.read_text())
        key = Key(**{**content['key'], 'size_hw': tuple(content['key']['size_hw'])})
        return Sidecar(key, dict(content['hashes']), dict(content['about']))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a sidecar of this version ({error}); build the engine '
                         'again with `sparse_seg export engine`') from None


def store(key: Key, folder: Path, writers: dict[str, Callable[[Path], Any]],
          about: dict[str, Any]) -> Path:
    """
    Write the files of an artefact and their sidecar, each complete or not at all -> the first.

    writers: suffix -> function that writes that file to a path. A dict that a writer returns joins
    `about`. The old sidecar is removed first, so that nothing half-written is ever trusted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{key.stem}{suffix}' for suffix in writers]
    sidecar_of(paths[0]).unlink(missing_ok=True)
    for path, write in zip(paths, writers.values()):
        about = about | (write_whole(path, write) or {})
    content = {'key': asdict(key), 'hashes': {path.name: file_hash(path) for path in paths},
               'about': about}
    write_whole(sidecar_of(paths[0]),
                lambda part: part.write_text(json.dumps(content, indent=1) + '\n') and None)
    return paths[0]


def write_whole(path: Path, write: Callable[[Path], Any]) -> Any:
    """Let write(part) make a file beside path, then give it its name; none is left if it fails."""
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        result = write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return result
