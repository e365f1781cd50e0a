# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tuned launches: what is stored, what is ignored, and that nothing is tuned by itself."""

from __future__ import annotations

import json

import pytest
import torch
from tiny import tiny_refined_by_network

from sparse_seg_ros.bench.sparse_convolution import tune as tune_all
from sparse_seg_ros.bench.sparse_convolution import widths_of
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.sparse import tuning
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tuning import Launch, Shape, candidates, default_launch, launch_of, tune

SHAPE = Shape(9, 64, 128, torch.float16)
GPU = 'Orin, 8.7, triton 3.9.0'


@pytest.fixture(name='path', autouse=True)
def own_cache(monkeypatch, tmp_path):
    """Keep what is tuned here out of the user's cache."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    launch_of.cache_clear()
    yield tuning.default_path()
    launch_of.cache_clear()


def test_the_fastest_that_runs_is_stored_for_this_gpu_and_shape(path):
    best, broken = candidates(SHAPE)[5], candidates(SHAPE)[3]

    def seconds_of(launch):
        if launch == broken:
            raise RuntimeError('out of resource: shared memory')
        return 1.0 if launch == best else 2.0

    assert tune(SHAPE, GPU, seconds_of, (RuntimeError,)) == best != default_launch(SHAPE)
    assert launch_of(SHAPE, GPU) == best
    for other in (Shape(4, 64, 128, torch.float16), Shape(9, 64, 128, torch.bfloat16)):
        assert launch_of(other, GPU) == default_launch(other)
    assert launch_of(SHAPE, 'H200, 9.0, triton 3.9.0') == default_launch(SHAPE)
    assert launch_of(SHAPE, None) == default_launch(SHAPE)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_shapes_and_gpus_are_stored_beside_each_other(path):
    other = Shape(9, 16, 16, torch.float16)
    for gpu in (GPU, 'another'):
        for shape in (SHAPE, other):
            tune(shape, gpu, lambda launch: -launch.stages, ())
    content = json.loads(path.read_text())
    assert content.keys() == {GPU, 'another'}
    assert content[GPU].keys() == {'9x64x128 float16', '9x16x16 float16'}


@pytest.mark.parametrize('content', [
    b'', b'{"', b'\xff\xfe', b'[]', b'{"' + GPU.encode() + b'": []}', *(
        json.dumps({GPU: {'9x64x128 float16': value}}).encode() for value in (
            None, 3, [1, 2], [128, 128, 64, 8, 3, 3], [128, 4096, 64, 8, 3], ['a'] * 5, {}))])
def test_a_broken_or_foreign_file_is_ignored_and_then_replaced(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert launch_of(SHAPE, GPU) == default_launch(SHAPE)
    best = tune(SHAPE, GPU, lambda launch: launch.rows + launch.warps, ())
    assert launch_of(SHAPE, GPU) == best


def test_a_file_that_cannot_be_read_is_ignored(path):
    path.mkdir(parents=True)
    assert launch_of(SHAPE, GPU) == default_launch(SHAPE)


def test_where_nothing_runs_that_is_said(path):
    def fail(launch):
        raise RuntimeError('no kernel image')

    with pytest.raises(RuntimeError, match='no launch of a convolution 9x64x128 float16 runs on'):
        tune(SHAPE, GPU, fail, (RuntimeError,))
    assert not path.exists()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(('cin', 'cout'), [(3, 2), (16, 16), (130, 150), (1024, 1024)])
def test_blocks_are_powers_of_two_that_tensor_cores_take(cin, cout, dtype):
    tried = candidates(Shape(9, cin, cout, dtype))
    assert tried[0] == default_launch(Shape(9, cin, cout, dtype)) and len(set(tried)) == len(tried)
    for launch in tried:
        for side in (launch.rows, launch.columns, launch.channels):
            assert side >= 16 and side & (side - 1) == 0


def test_the_default_launch_of_a_wide_layer():
    assert default_launch(Shape(9, 1024, 1024, torch.float16)) == Launch(128, 128, 64, 8, 3)


def test_a_convolution_is_tuned_by_its_time(path):
    with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')
    level = Level(torch.ones((1, 3, 4), dtype=torch.bool))
    features, weight = torch.randn(12, 16), torch.randn(9, 16, 16)
    shape = Shape(9, 16, 16, torch.float32)
    best = with_triton.tune_launch(features, weight, level.neighbours.parts[0], GPU, repeats=1)
    assert best in candidates(shape) and launch_of(shape, GPU) == best


def test_the_widths_of_a_refiner_are_those_it_convolves_with():
    refiner = SparseRefiner(planes=(4, 8))
    assert widths_of(refiner) == {(3, 4), (4, 4), (4, 8), (8, 8), (8, 4)}
    of_network = widths_of(tiny_refined_by_network().refiner)
    assert of_network >= {(16, 128), (24, 96), (40, 160), (64, 64), (80, 48)}


def test_a_cpu_is_not_tuned():
    with pytest.raises(ValueError, match="Triton on a GPU can be tuned, got 'torch' on 'cpu'"):
        tune_all(SparseRefiner(), torch.ones(1, 8, 8, dtype=torch.bool), 'cpu')


def test_nothing_is_looked_up_for_a_cpu():
    with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')
    assert with_triton.gpu_of(torch.device('cpu')) is None
