# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's data files (launch, config, models, rviz) are, and what a file holds."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHUNK_BYTES = 2 ** 22
LFS_POINTER = b'version https://git-lfs.github.com/spec/'


def find_file(name: str | Path) -> Path:
    """Path as it is; where there is no such file, one that came with the package."""
    path = Path(name)
    return path if path.exists() or not (share() / path).is_file() else share() / path


def share() -> Path:
    """
    Return the folder that holds config/ and models/.

    In a checkout that is its top; installed by colcon or pip it is <prefix>/share/sparse_seg_ros.
    """
    checkout = PACKAGE.parent
    if (checkout / 'package.xml').is_file():
        return checkout
    for prefix in PACKAGE.parents:
        installed = prefix / 'share' / 'sparse_seg_ros'
        if (installed / 'package.xml').is_file():
            return installed
    raise FileNotFoundError(
        f'the data files of sparse_seg_ros are in no share/ folder above {PACKAGE}; '
        'install the package again with pip or colcon')


def refuse_pointer(path: str | Path) -> None:
    """Raise ValueError if Git LFS has left its pointer in a file's place."""
    with Path(path).open('rb') as file:
        is_pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
    if is_pointer:
        raise ValueError(f'{path}: a Git LFS pointer stands in its place; fetch the file with '
                         '`git lfs pull`')


def require_room(folder: Path, size: int, what: str) -> None:
    """Raise OSError unless a folder, or the one above that is there, has room for a size."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < size:
        raise OSError(f'{what} need {size / 1e9:.2f} GB in {folder}, {free / 1e9:.2f} GB are '
                      'free; make room, or name a folder on another disk')


def file_hash(path: str | Path) -> str:
    """Return the sha256, in hex, of a file or of the files in a folder."""
    path, digest = Path(path), hashlib.sha256()
    for part in sorted(path.glob('*')) if path.is_dir() else [path]:
        with part.open('rb') as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
