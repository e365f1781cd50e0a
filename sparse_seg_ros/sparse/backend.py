# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which backend convolves on a device."""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from types import ModuleType

import torch
from torch.nn import functional as F

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.convolution import Extras, fuses
from sparse_seg_ros.sparse.level import Level

ON_CUDA = ('triton', 'torchsparse')  # tried in this order


@cache
def backend_of(device_type: str) -> ModuleType:
    """
    Return the fastest that computes there what the reference does; on a CPU the reference itself.

    Not every machine with CUDA has Triton or torchsparse, and Triton needs a C compiler when it
    first runs. Without them, this warns once.
    """
    if device_type != 'cuda':
        return reference
    reasons = []
    for name in ON_CUDA:
        try:
            return checked(name, device_type)
        except (ImportError, RuntimeError) as error:
            reasons.append(f'{name}: {error}')
    warnings.warn('sparse convolution on this GPU is several times slower in plain torch; install '
                  f"triton and a C compiler ({'; '.join(reasons)})", stacklevel=2)
    return reference


def name_of(backend: ModuleType) -> str:
    """Return what a backend is called: 'torch' for the reference, else the package it uses."""
    return 'torch' if backend is reference else backend.__name__.rpartition('.with_')[2]


def checked(name: str, device: str) -> ModuleType:
    """Return a backend after small convolutions; ImportError, RuntimeError if it fails."""
    backend = importlib.import_module(f'sparse_seg_ros.sparse.with_{name}')
    kernel_map = Level(torch.ones(1, 5, 5, dtype=torch.bool, device=device)).neighbours
    features = torch.linspace(-1, 1, 25 * 16, device=device).view(25, 16).half()
    weight = torch.linspace(1, -1, 9 * 16 * 16, device=device).view(9, 16, 16).half()
    given, shift = (features, weight, kernel_map), weight[0, 0]
    wanted = [(given, reference.multiply(*given)),
              ((*given, shift), reference.multiply(*given, shift))]
    if fuses(backend):
        extras = Extras((shift, weight[0, 1]), features)
        normed = F.relu(features * shift + weight[0, 1])
        plain = reference.multiply(normed, weight, kernel_map)
        wanted.append(((*given, shift, extras), F.relu(plain + shift + features)))
    for arguments, want in wanted:
        try:
            got = backend.multiply(*arguments)
        except backend.ERRORS as error:
            raise RuntimeError(str(error)) from error
        if not torch.allclose(got, want, rtol=1e-2, atol=1e-2 * float(want.abs().max())):
            raise RuntimeError(f'its results are off by {float((got - want).abs().max()):.2g}')
    return backend
