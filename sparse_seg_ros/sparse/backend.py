# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which backend convolves on a device."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType

import torch

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.level import Level


@cache
def backend_of(device_type: str) -> ModuleType:
    """
    Return Triton's on 'cuda', if it computes there what the reference does; else the reference.

    Triton is not everywhere that CUDA is, and wants a C compiler when it first runs: without
    either, this warns, once.
    """
    if device_type != 'cuda':
        return reference
    try:
        return checked_triton(device_type)
    except Exception as error:  # of any kind: Triton reports compilers, drivers and GPUs
        warnings.warn(f'sparse convolution is several times slower on this GPU without Triton, '
                      f'which does not run here: {error}. Install triton and a C compiler',
                      stacklevel=2)
        return reference


def checked_triton(device: str) -> ModuleType:
    """Return Triton's backend after a small convolution; raises whatever goes wrong with it."""
    from sparse_seg_ros.sparse import with_triton
    pairs = Level(torch.ones(1, 5, 5, dtype=torch.bool, device=device)).neighbours
    features = torch.linspace(-1, 1, 25 * 16, device=device).view(25, 16).half()
    weight = torch.linspace(1, -1, 9 * 16 * 16, device=device).view(9, 16, 16).half()
    got, want = (module.multiply(features, weight, pairs) for module in (with_triton, reference))
    if not torch.allclose(got, want, rtol=1e-2, atol=1e-2 * float(want.abs().max())):
        raise RuntimeError(f'its results are off by {float((got - want).abs().max()):.2g}')
    return with_triton
