# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Triton's kernels beyond the contract of all backends.

They are interpreted on the CPU, and compiled for GPUs that need not be there.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from bounds import assert_rounded

from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.level import Level

with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')

COMPILE = """
import re, sys, triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from sparse_seg_ros.sparse import with_triton
kernel = getattr(with_triton, sys.argv[1])
pointers = {**dict.fromkeys(('features', 'weight', 'shift', 'grad', 'out'), '*fp16'),
            'sums': '*fp32', 'table': '*i32', 'rows': '*i64'}
constants = dict(HAS_ROWS=True, HAS_SHIFT=True, KERNELS=9, CIN=64, COUT=64, BLOCK_ROWS=128,
                 BLOCK_COLUMNS=64, BLOCK_CHANNELS=64, BLOCK_CIN=64, BLOCK_COUT=64,
                 CHUNK_ROWS=4096, SUM=tl.float32)
types = {**pointers, 'count': 'i32', 'inputs': 'i32', **dict.fromkeys(constants, 'constexpr')}
place = {name: (i,) for i, name in enumerate(kernel.arg_names)}
source = ASTSource(
    fn=kernel, signature={name: types[name] for name in place},
    constexprs={place[name]: value for name, value in constants.items() if name in place},
    attrs={place[name]: [['tt.divisibility', 16]] for name in pointers if name in place})
built = triton.compile(source, target=GPUTarget('cuda', int(sys.argv[2]), 32),
                       options={'num_warps': 4, 'num_stages': 3})
print(len(re.findall('mma', built.asm['ptx'])), len(re.findall('cp.async.c', built.asm['ptx'])),
      built.metadata.shared)
"""


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize(('cin', 'cout'), [(3, 32), (14, 16), (64, 32), (130, 150)])
def test_every_width_and_kind_of_pairs_equals_the_reference(cin, cout, dtype):
    generator = torch.Generator().manual_seed(cin)
    level = Level(torch.rand((2, 17, 20), generator=generator) < 0.4)
    weight = torch.randn((9, cin, cout), generator=generator).to(dtype) / (9 * cin) ** 0.5
    for pairs in (level.neighbours, level.down, level.down.adjoint):
        features = torch.randn((pairs.inputs, cin), generator=generator).to(dtype)
        for shift in (None, weight[0, 0]):
            got = with_triton.multiply(features, weight, pairs, shift)
            want = reference.multiply(features.double(), weight.double(), pairs,
                                      None if shift is None else shift.double())
            assert got.dtype == dtype
            assert_rounded(got, want, additions=9 * cin if dtype == torch.float32 else 1)


def test_features_and_weights_may_be_views():
    level = Level(torch.rand((1, 9, 9), generator=torch.Generator().manual_seed(0)) < 0.5)
    features, weight = torch.randn(16, len(level)).t(), torch.randn(9, 24, 16).transpose(1, 2)
    got = with_triton.multiply(features, weight, level.neighbours)
    assert_rounded(got, reference.multiply(features.double(), weight.double(),
                                           level.neighbours), additions=9 * 24)


@pytest.mark.parametrize('kernel', ['_gather_and_multiply', '_sum_products'])
@pytest.mark.parametrize('capability', [87, 90], ids=['Orin', 'H100'])
def test_it_compiles_for_tensor_cores_with_asynchronous_gathers(kernel, capability, tmp_path):
    environment = {**os.environ, 'TRITON_INTERPRET': '0', 'TRITON_CACHE_DIR': str(tmp_path)}
    ran = subprocess.run([sys.executable, '-c', COMPILE, kernel, str(capability)],
                         env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    products, gathers, shared = map(int, ran.stdout.split())
    assert products > 0 and gathers > 0
    assert shared < 96 * 1024  # bytes: one program fits any GPU since Ampere
