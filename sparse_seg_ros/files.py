# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's data files (launch, config, models, rviz) are, and what a file holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


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


def file_hash(path: str | Path) -> str:
    """Return the sha256, in hex, of a file or of the files in a folder."""
    path, digest = Path(path), hashlib.sha256()
    for part in sorted(path.glob('*')) if path.is_dir() else [path]:
        digest.update(part.read_bytes())
    return digest.hexdigest()
