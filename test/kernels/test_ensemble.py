# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of the gated ensembler is within rounding of float64."""

from __future__ import annotations

import math

import pytest
import torch

from sparse_seg_ros.kernels import switch
from sparse_seg_ros.methods.sparse_refine import ensembler
from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler, SigmoidEnsembler, layers_of

kernels = pytest.importorskip('sparse_seg_ros.kernels.ensemble')
EPS = torch.finfo(torch.float32).eps
KINDS = {'softmax': Ensembler, 'sigmoid': SigmoidEnsembler}


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def make(kind, classes, pixels, sites):
    """Return an ensembler with weights that matter, (C, M) coarse and (C, k, M) refined logits."""
    torch.manual_seed(classes)
    module = KINDS[kind](classes)
    for values in module.parameters():
        values.normal_(0, 0.1 if values.dim() == 2 else 0.5)
    return module, 2 * torch.randn(classes, sites), 2 * torch.randn(classes, pixels, sites)


def run(module, coarse, refined, dtype=torch.float32):
    return kernels.ensemble(coarse, refined, layers_of(module.gate), layers_of(module.fuse),
                            ensembler.LOG_FLOOR, dtype)


def follow(layer, values, error, unit):
    """
    (n, N) inputs of a layer and their errors -> its outputs in float64, and their errors.

    unit: of the type of the product's operands, 0 where they are not rounded.
    """
    weight, bias = layer.weight.double(), layer.bias.double()[:, None]
    sizes = weight.abs() @ values.abs() + bias.abs()
    return weight @ values + bias, \
        weight.abs() @ error + (2 * unit + (len(values) + 2) * EPS) * sizes


def exact(module, coarse, refined, unit):
    """(C, N), (C, N) -> (C, N) in float64, and how far rounding may take it."""
    (first, second), (fuse, again) = layers_of(module.gate), layers_of(module.fuse)
    coarse, refined = coarse.double(), refined.double()
    both, errors = (coarse, refined), []
    spread = float(torch.cat(both).abs().max()) * 2 + math.log(len(coarse))
    one = 4 * EPS * (len(coarse) + spread)  # as of the entropy, in test_scores.py
    for logits in both:
        of_seen = one * logits.softmax(0) if type(module) is Ensembler else 0 * logits
        errors += of_seen, torch.full_like(logits[:1], one * (1 + spread))
    sees = torch.cat([module.describe(logits) for logits in both])
    hidden, error = follow(first, sees, torch.cat(errors), unit)
    gated, error = follow(second, hidden.relu(), error, 0)
    trust = module.trust(gated)  # changes by a quarter of what its argument does at most
    mixed = torch.lerp(coarse, refined, trust)
    error = (refined - coarse).abs() * (error.sum(0) / 4 + 8 * EPS) + 4 * EPS * (
        coarse.abs() + refined.abs())
    hidden, error = follow(fuse, mixed, error, unit)
    want, error = follow(again, hidden.relu(), error, unit)
    return want, error + unit * want.abs()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize(('kind', 'classes', 'pixels', 'sites'), [
    ('softmax', 19, 1, 70), ('softmax', 2, 4, 1), ('softmax', 32, 2, 9), ('sigmoid', 11, 4, 34),
    ('sigmoid', 5, 1, 3)])
def test_it_mixes_as_the_module_does(kind, classes, pixels, sites, dtype):
    module, coarse, refined = make(kind, classes, pixels, sites)
    got = run(module, coarse, refined, dtype)
    assert got.shape == refined.shape and got.dtype == dtype
    want, bound = exact(module, coarse.repeat(1, pixels), refined.flatten(1),
                        torch.finfo(dtype).eps / 2 if dtype == torch.float16 else 0)
    assert ((got.flatten(1) - want).abs() <= bound).all()
    assert bound.max() < (0.1 if dtype == torch.float16 else 5e-3) * want.abs().max()


def test_predictions_may_be_views_and_of_half_precision():
    module, coarse, refined = make('softmax', 5, 2, 7)
    refined = refined.half()
    want = run(module, coarse, refined.float())
    got = run(module, coarse.t().contiguous().t(), refined.mT.contiguous().mT)
    assert torch.equal(got, want)


def test_without_a_site_nothing_is_mixed():
    module, coarse, refined = make('softmax', 5, 4, 0)
    assert run(module, coarse, refined).shape == (5, 4, 0)


def test_what_is_not_a_number_stays_so():
    module, coarse, refined = make('softmax', 5, 2, 3)
    refined[1, 0, 2] = math.nan
    assert run(module, coarse, refined).isnan().all(0).tolist() == [
        [False, False, True], [False] * 3]


def test_the_module_uses_it_on_a_gpu(monkeypatch):
    module, coarse, refined = make('softmax', 19, 4, 33)
    given = coarse.t(), refined.flatten(1).t()
    want = module(*given)
    calls = []
    monkeypatch.setattr(ensembler, 'kernels_of', lambda stage, _: calls.append(stage) or
                        switch.checked(stage, 'cpu'))
    torch.testing.assert_close(module(*given), want, rtol=1e-4, atol=1e-4)
    assert calls == ['ensemble']
    with torch.enable_grad():
        assert module(*given).requires_grad
    assert module.kernels_for(torch.zeros(19, 2, dtype=torch.float64)) is None
    assert Ensembler(33).kernels_for(torch.zeros(33, 2)) is None  # has a residual
