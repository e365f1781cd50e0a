# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's data files (launch, config, models, rviz) are."""

from __future__ import annotations

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
