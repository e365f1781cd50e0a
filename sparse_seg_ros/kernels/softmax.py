# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the kernels share: their errors, how they cut their work, and the softmax of a tile."""

from __future__ import annotations

from subprocess import SubprocessError

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.errors import TritonError

ERRORS = (TritonError, SubprocessError, OSError, RuntimeError)  # compilers, drivers, GPUs, cache
TILE = 4096  # values of one program: 32 in each of 128 threads


def tile_of(classes: int) -> dict[str, int]:
    """Number of classes -> the sides of a tile: a power of two at least as large, and pixels."""
    height = triton.next_power_of_2(classes)
    return {'CLASSES': classes, 'CLASS_BLOCK': height, 'BLOCK': max(16, TILE // height)}


def check_equal(got: Tensor, want: Tensor) -> None:
    """Raise RuntimeError unless a kernel has computed what torch has."""
    if not torch.allclose(got.double(), want.double(), rtol=1e-4, atol=1e-5):
        error = float((got.double() - want.double()).abs().max())
        raise RuntimeError(f'its results are off by {error:.2g}')


@triton.jit
def read_tile(values, classes, log_floor, CLASSES: tl.constexpr):  # noqa: N803
    """
    (CLASS_BLOCK, BLOCK) logits -> label, its probability and entropy in nats, (BLOCK,) each.

    Rows from CLASSES on do not count. No logarithm of a probability counts as less than log_floor.
    """
    is_class = (classes < CLASSES)[:, None]
    values = tl.where(is_class, values.to(tl.float32), float('-inf'))
    label = tl.argmax(values, 0)
    shifted = values - tl.max(values, 0)[None, :]
    powers = tl.exp(shifted)
    total = tl.sum(powers, 0)
    log_p = tl.maximum(tl.where(is_class, shifted - tl.log(total)[None, :], 0.0), log_floor)
    entropy = -tl.sum(powers * log_p, 0) / total
    return label, 1.0 / total, entropy
