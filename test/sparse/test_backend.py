# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which backend is chosen, and what torchsparse is given."""

from __future__ import annotations

import pytest
import torch
from torchsparse_function import load_backend

from sparse_seg_ros.sparse import backend, reference
from sparse_seg_ros.sparse.level import Level


def test_the_cpu_has_the_reference():
    assert backend.backend_of('cpu') is reference


def test_a_gpu_has_the_first_that_works(monkeypatch):
    def check(name, device):
        if name == 'triton':
            raise RuntimeError('Failed to find C compiler')
        return name

    monkeypatch.setattr(backend, 'checked', check)
    assert backend.backend_of.__wrapped__('cuda') == 'torchsparse'


def test_a_gpu_on_which_none_works_has_the_reference_and_a_warning(monkeypatch):
    def fail(name, device):
        raise RuntimeError(f'no {name} here')

    monkeypatch.setattr(backend, 'checked', fail)
    with pytest.warns(UserWarning, match=r'install triton .*triton: no triton here; torchsparse'):
        assert backend.backend_of.__wrapped__('cuda') is reference


def test_a_backend_is_refused_where_it_computes_something_else(monkeypatch):
    with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')
    assert backend.checked('triton', 'cpu') is with_triton
    monkeypatch.setattr(with_triton, 'multiply', lambda *given: reference.multiply(*given) * 1.1)
    with pytest.raises(RuntimeError, match='its results are off by'):
        backend.checked('triton', 'cpu')


@pytest.mark.parametrize('kind', range(4))
def test_what_a_backend_fails_by_is_a_reason_not_to_use_it(kind, monkeypatch):
    with_triton = pytest.importorskip('sparse_seg_ros.sparse.with_triton')

    def fail(*given):
        raise with_triton.ERRORS[kind]('no driver')

    monkeypatch.setattr(with_triton, 'multiply', fail)
    with pytest.raises(RuntimeError, match='no driver'):
        backend.checked('triton', 'cpu')


@pytest.mark.parametrize(('dtype', 'tolerance'), [
    (torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)], ids=str)
def test_torchsparse_is_given_tables_that_make_it_equal_the_reference(dtype, tolerance):
    torchsparse = load_backend()
    generator = torch.Generator().manual_seed(0)
    level = Level(torch.rand((2, 17, 20), generator=generator) < 0.4)
    weight = torch.randn((9, 6, 8), generator=generator).to(dtype)
    for pairs in (level.neighbours, level.down, level.down.adjoint):
        features = torch.randn((pairs.inputs, 6), generator=generator).to(dtype)
        grad = torch.randn((pairs.outputs, 8), generator=generator).to(dtype)
        got = (torchsparse.multiply(features, weight, pairs),
               torchsparse.multiply(features, weight, pairs, weight[0, 0]),
               *torchsparse.multiply_back(features, weight, grad, pairs, (True, True)))
        features, exact, grad = features.double(), weight.double(), grad.double()
        want = (reference.multiply(features, exact, pairs),
                reference.multiply(features, exact, pairs, exact[0, 0]),
                *reference.multiply_back(features, exact, grad, pairs, (True, True)))
        assert got[0].dtype == got[1].dtype == dtype
        for near, true in zip(got, want):
            assert (near - true).abs().max() < tolerance * true.abs().max()


def test_torchsparse_takes_no_pixels():
    pairs = Level(torch.zeros(1, 8, 8, dtype=torch.bool)).neighbours
    assert load_backend().multiply(torch.zeros(0, 4), torch.zeros(9, 4, 2), pairs).shape == (0, 2)
