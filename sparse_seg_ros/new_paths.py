# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks the paths that a replay writes to: they are new, not the input, and can be written."""

from __future__ import annotations

import os
from pathlib import Path


def check_is_new(path: Path, what: str = 'output', may_be_empty: bool = False) -> None:
    """Raise ValueError where something exists, a dangling link or an empty folder included."""
    if path.is_symlink() and not path.exists():
        raise ValueError(f'{what} {path} is a link to {os.readlink(path)}, which does not exist; '
                         'remove the link or choose another name')
    is_empty = path.is_dir() and not any(path.iterdir())
    if path.exists() and not (may_be_empty and is_empty):
        raise ValueError(f'{what} {path} exists already; remove it or choose another name')


def check_beside(path: Path, bag: Path, what: str = 'output') -> None:
    """Raise ValueError where a path lies in the folder of the bag that is read."""
    folder = bag if bag.is_dir() else bag.parent
    if not bag.is_dir() and not (folder / 'metadata.yaml').exists():
        return
    if path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f'{what} {path} would lie in the bag {folder} that is read; choose a '
                         'place beside it')


def check_can_hold(folder: Path, what: str) -> None:
    """Raise ValueError unless a file can be made in a folder, or in the one to make it in."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f'cannot write {what} to {folder}; choose a folder that you may write '
                         'to')


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders above it; ValueError where the disk takes no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ValueError(f'cannot write {path}: {error.strerror}; free some space, or choose a '
                         'folder on another disk') from None
