# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every kernel compiles for Orin, Ada and Hopper, where there is none of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('triton')
SHARED = {87: 163, 89: 99, 90: 227}  # KiB that one block may have; CUDA programming guide


@pytest.fixture(name='all_found', scope='module')
def compile_all(tmp_path_factory):
    """Return what became of every case of compiling.py, by compute capability."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, 'TRITON_INTERPRET': '0', 'PYTHONPATH': str(root),
                   'TRITON_CACHE_DIR': str(tmp_path_factory.mktemp('triton'))}
    ran = subprocess.run([sys.executable, Path(__file__).with_name('compiling.py'),
                          *map(str, SHARED)], env=environment, capture_output=True, text=True,
                         timeout=300)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout)


@pytest.fixture(name='found', params=SHARED, ids=['Orin', 'Ada', 'Hopper'])
def pick_one(request, all_found):
    """Return a compute capability, and what became of its cases."""
    return request.param, all_found[str(request.param)]


def test_every_kernel_is_compiled(all_found):
    assert [len(cases) for cases in all_found.values()] == [14] * len(SHARED)


def test_products_are_on_tensor_cores_with_asynchronous_gathers(found):
    products = {name: case for name, case in found[1].items() if name.startswith('multiply')}
    assert len(products) == 4
    for name, case in products.items():
        assert case['products'] > 0, name
        assert case['copies'] > 0, name
    assert found[1]['ensemble']['products'] > 0


def test_nothing_spills_from_the_registers(found):
    spilled = {name: case['spilled'] for name, case in found[1].items()}
    if None in spilled.values():
        pytest.skip('this Triton brings no cuobjdump')
    assert {name: count for name, count in spilled.items() if count} == {}


def test_one_block_has_its_shared_memory(found):
    capability, cases = found
    assert max(case['shared'] for case in cases.values()) <= SHARED[capability] * 1024
