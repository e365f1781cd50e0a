# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels in files of MATLAB, as COCO-Stuff 10K publishes them; they need scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

IDS = 'S'  # name of the array


def read_mat(path: Path) -> np.ndarray:
    """File of MATLAB -> (H, W) uint16 ids."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise ImportError(f'{path}: labels in .mat files need scipy; install it with `pip install '
                          'scipy`') from None
    try:
        ids = loadmat(path, variable_names=[IDS])[IDS]
    except (MatReadError, KeyError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise ValueError(f'{path}: expected a .mat file with the ids in {IDS!r}, got '
                         f'{type(error).__name__}; copy it again') from None
    if ids.ndim != 2 or ids.dtype.kind not in 'ui':
        raise ValueError(f'{path}: {IDS!r} must be whole (H, W) ids, got {ids.shape} {ids.dtype}')
    wrong = ids[(ids < 0) | (ids > 65535)]
    if wrong.size:
        raise ValueError(f'{path}: expected ids from 0 to 65535 in {IDS!r}, got {wrong[0]}; '
                         'copy it again')
    return ids.astype(np.uint16)
