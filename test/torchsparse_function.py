# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The one function of torchsparse 2.1 that is called, from reading its CUDA source, on any device.

torchsparse itself has CUDA only; test_gpu.py runs it where it is installed.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from unittest.mock import patch

import torch
from torch import Tensor


def conv_forward_implicit_gemm_cuda(in_feats: Tensor, kernel: Tensor, out_in_map: Tensor,
                                    num_out_feats: int, num_out_channels: int, allow_tf32: bool,
                                    allow_fp16: bool) -> Tensor:
    """(N, Cin), (K, Cin, Cout), (a multiple of 128, K) int32 or -1 -> (num_out_feats, Cout)."""
    assert in_feats.dtype == kernel.dtype and in_feats.dtype in (torch.float16, torch.float32)
    assert out_in_map.dtype == torch.int32 and len(out_in_map) % 128 == 0
    assert in_feats.is_contiguous() and kernel.is_contiguous() and out_in_map.is_contiguous()
    assert allow_fp16 and not allow_tf32
    out = torch.zeros(len(out_in_map), num_out_channels)
    for index, rows in enumerate(out_in_map.t()):
        here = rows >= 0
        out[here] += in_feats[rows[here]].float() @ kernel[index].float()
    return out[:num_out_feats].to(in_feats.dtype)


def load_backend() -> ModuleType:
    """Return sparse_seg_ros.sparse.with_torchsparse with this function in place of its own."""
    package, backend = ModuleType('torchsparse'), ModuleType('torchsparse.backend')
    package.backend = backend
    backend.conv_forward_implicit_gemm_cuda = conv_forward_implicit_gemm_cuda
    with patch.dict(sys.modules, {'torchsparse': package, 'torchsparse.backend': backend}):
        spec = find_spec('sparse_seg_ros.sparse.with_torchsparse')
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
