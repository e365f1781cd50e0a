# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse convolution by torchsparse 2.1 (TorchSparse++), its implicit GEMM; it has CUDA only.

Its own tables come from hashing. Here it gets the tables of the level, in its form: -1 where there
is no input row, and rows up to a multiple of its block. It has no bfloat16.
"""

from __future__ import annotations

import torch
import torchsparse.backend
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.kernel_map import KernelMap, KernelMapPart

ERRORS = (AttributeError, RuntimeError)  # of another version, of the GPU
BLOCK_ROWS = 128  # rows of the blocks in which its kernels read the table


def multiply(
    features: Tensor, weight: Tensor, kernel_map: KernelMap, shift: Tensor | None = None
) -> Tensor:
    """
    (N, Cin) of any type, (9, Cin, Cout) -> (outputs, Cout) of the weight's type.

    A shift (Cout,) is added, and negative values become zero.
    """
    out = weight.new_empty((kernel_map.outputs, weight.shape[2]))
    computed = torch.float16 if weight.dtype == torch.float16 else torch.float32
    features, weight = features.to(computed).contiguous(), weight.to(computed)
    for part in kernel_map.parts:
        if count := len(part.table):
            with torch.cuda.device_of(features):
                found = torchsparse.backend.conv_forward_implicit_gemm_cuda(
                    features, part.pick(weight).contiguous(), _table(part), count, weight.shape[2],
                    allow_tf32=False, allow_fp16=True)
            out[slice(None) if part.rows is None else part.rows] = found.to(out.dtype)
    return out if shift is None else F.relu_(out.add_(shift))


def multiply_back(
    features: Tensor, weight: Tensor, grad: Tensor, kernel_map: KernelMap,
    needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """(outputs, Cout) gradient of `multiply` -> those of features and weight, or None."""
    to_features = multiply(grad, weight.transpose(1, 2), kernel_map.adjoint) if needed[0] else None
    _, to_weight = reference.multiply_back(features, weight, grad, kernel_map, (False, needed[1]))
    return to_features, to_weight


def _table(part: KernelMapPart) -> Tensor:
    """(n, K) -> (rows up to a whole block, K) int32."""
    table = part.table.masked_fill(part.table == part.inputs, -1)
    return F.pad(table, (0, 0, 0, -len(table) % BLOCK_ROWS), value=-1)
