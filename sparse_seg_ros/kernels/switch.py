# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a kernel takes the place of torch code: on a GPU on which it gives the same results."""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from types import ModuleType


@cache
def kernels_of(stage: str, device_type: str) -> ModuleType | None:
    """
    Return the kernels of a stage, a file beside this one; None where torch computes.

    Torch computes on a CPU, and on a GPU on which they do not work. There this warns once.
    """
    if device_type != 'cuda':
        return None
    try:
        return checked(stage, device_type)
    except (ImportError, RuntimeError) as error:
        warnings.warn(f"stage '{stage}' is slower in plain torch on this GPU; install triton and "
                      f'a C compiler ({error})', stacklevel=2)
        return None


def checked(stage: str, device: str) -> ModuleType:
    """Return kernels after a small input; ImportError, RuntimeError if they fail on it."""
    kernels = importlib.import_module(f'sparse_seg_ros.kernels.{stage}')
    try:
        kernels.check(device)
    except kernels.ERRORS as error:
        raise RuntimeError(str(error)) from error
    return kernels
