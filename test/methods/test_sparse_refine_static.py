# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Frames whose shapes follow from the budget alone, as on a GPU, against those of the CPU.

Sums of float32 in another order differ by some 1e-6 of the largest value, a wrong neighbour by a
tenth of it. Where nothing is refined, all is equal bit for bit.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
from operators import Operators
from tiny import street_image, tiny_model, tiny_refined_by_network
from torch.nn import functional as F

from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.methods.request import PROPER_SCORES, Request
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.parts import Parts
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.methods.sparse_refine.selection import (
    most_covered,
    nearest_rows,
)
from sparse_seg_ros.sparse import convolution
from sparse_seg_ros.timing import Stopwatch

CLASSES = 11
NOTHING = float(np.log(CLASSES))  # alpha that no pixel exceeds
MODELS = {'unet': tiny_model, 'blocks': lambda **card: tiny_model(extractor='blocks', **card),
          'network': tiny_refined_by_network}


def make(extractor: str, scale: float = 0.5) -> tuple[SparseRefine, SparseRefine]:
    """Return a method as it runs on a CPU, and the same as it runs on a GPU."""
    model = MODELS[extractor](scale=scale)
    if model.refiner.head is not None:
        torch.nn.init.normal_(model.refiner.head.weight)
    dynamic = SparseRefine(model.network.eval(), folded(model.refiner), scale)
    return dynamic, as_on_gpu(dynamic)


def as_on_gpu(method: SparseRefine) -> SparseRefine:
    static = SparseRefine(method.network, deepcopy(method.refiner), method.scale)
    static.refiner.static_on = ('cpu', 'meta')
    return static


def run(method, images, wants=('confidence',), **limits):
    with torch.no_grad():  # in inference_mode operators hide those that they are made of
        return method(images, Request(wants=frozenset(wants), **limits), Stopwatch())


def random_images(*size_hw, batch=1, seed=0):
    return torch.randn(batch, 3, *size_hw, generator=torch.Generator().manual_seed(seed))


def assert_same_output(got, want):
    assert torch.equal(got.refined, want.refined) and bool(got.is_cut) == want.is_cut
    for name in ('labels', 'uncertainty', 'confidence'):
        coarse = getattr(want, name)[~want.refined]
        assert torch.equal(getattr(got, name)[~want.refined], coarse)
    for name in ('uncertainty', 'confidence'):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), rtol=0, atol=1e-4)


@pytest.mark.parametrize('size_hw', [(48, 64), (47, 66)])
@pytest.mark.parametrize('scale', [0.5, 0.25])
@pytest.mark.parametrize('extractor', MODELS)
def test_outputs_equal_those_of_the_cpu(extractor, scale, size_hw):
    dynamic, static = make(extractor, scale)
    images = random_images(*size_hw, batch=2)
    middle = float(dynamic.scores(images).detach().median())
    one = 26 / size_hw[0] / size_hw[1]  # pixel of the low resolution, or a few
    for alpha, budget in ((0.0, 0.0), (0.0, one), (middle, 0.3), (NOTHING, 0.99), (0.0, 0.99)):
        limits = {'alpha': alpha, 'budget': budget}
        got, want = run(static, images, **limits), run(dynamic, images, **limits)
        assert_same_output(got, want)
        if not torch.equal(got.labels, want.labels):  # where two classes are equally likely
            logits = dynamic.full_logits(images, Request(**limits)).detach()
            first, second = logits.topk(2, 1).values.unbind(1)
            assert ((got.labels == want.labels) | (first - second < 1e-3)).all()
        assert bool(want.refined.any()) == (alpha < NOTHING and budget > one / 2)


@pytest.mark.parametrize('extra', [(0, 0), (1, 0), (-1, 1)])
@pytest.mark.parametrize('extractor, side', [('unet', 1), ('blocks', 1), ('blocks', 2),
                                             ('blocks', 3)])
def test_labels_in_float64_equal_those_of_the_cpu(extractor, side, extra):
    torch.manual_seed(0)
    parts = Parts(extractor=extractor, side=side)
    dynamic = SparseRefiner(5, (4, 6, 8), inputs=('rgb', 'logits'), parts=parts).double().eval()
    for parameter in (*dynamic.head.parameters(), *dynamic.ensembler.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    static = deepcopy(dynamic)
    static.static_on = ('cpu',)
    image = random_images(*(max(side, 2) * low + more for low, more in zip((14, 19), extra)),
                          batch=2).double()
    logits = 3 * torch.randn(2, 5, 14, 19, dtype=torch.float64)
    for budget in (0.01, 0.3, 0.9):
        with torch.inference_mode():
            got, want = (refiner(image, logits, request=Request(0.8, budget))
                         for refiner in (static, dynamic))
        assert got.is_padded and not want.is_padded and len(got.flat) > len(want.flat)
        assert torch.equal(got.selected, want.selected) and want.selected.any()
        torch.testing.assert_close(got.full(), want.full(), rtol=0, atol=1e-9)
        assert torch.equal(got.full().argmax(1), want.full().argmax(1))


@pytest.mark.parametrize('extractor', MODELS)
def test_no_operator_of_a_frame_makes_the_host_wait(extractor):
    dynamic, static = make(extractor)
    images = random_images(47, 66)
    with Operators() as ran:
        run(static, images, alpha=1.0, budget=0.1)
    assert ran.waiting == [] and len(ran.shapes) > 100
    with Operators() as ran:
        run(dynamic, images, alpha=1.0, budget=0.1)
    assert Counter(ran.waiting)['nonzero'] >= 4 and '_local_scalar_dense' in ran.waiting


@pytest.mark.parametrize('waits', [
    lambda x: x.sum().item(), lambda x: bool(x.any()), lambda x: x[x > 0], lambda x: x[[0, 2]],
    lambda x: x.nonzero(), lambda x: x.unique(), lambda x: torch.equal(x, x),
    lambda x: torch.tensor([1, 2], device=x.device), lambda x: x.masked_select(x > 0),
    lambda x: x.to('meta'), lambda x: x.index_put_((x > 0,), x[0])],
    ids=['item', 'bool', 'mask', 'list', 'nonzero', 'unique', 'equal', 'tensor', 'masked_select',
         'copy', 'index_put'])
def test_operators_that_make_the_host_wait_are_noticed(waits):
    with Operators() as ran:
        waits(torch.arange(4.))
    assert ran.waiting


@pytest.mark.parametrize('extractor, frames', [('unet', 12), ('blocks', 100), ('network', 12)])
def test_different_frames_have_one_set_of_shapes(extractor, frames):
    dynamic, static = make(extractor)
    high = float(dynamic.scores(random_images(32, 48)).detach().quantile(0.95))
    sets, others, fractions = set(), set(), set()
    for seed in range(frames):
        images = random_images(32, 48, seed=seed)
        limits = {'alpha': (0.0, high, high, NOTHING)[seed % 4], 'budget': 0.1}
        with Operators() as ran:
            refined = run(static, images, (), **limits).refined
        sets.add(tuple(ran.shapes))
        fractions.add(float(refined.float().mean()))
        if seed < 4:
            with Operators() as ran:
                run(dynamic, images, (), **limits)
            others.add(tuple(ran.shapes))
    assert len(sets) == 1 and len(others) > 1 and len(fractions) > 3


@pytest.mark.parametrize('size_hw', [(48, 64), (47, 66)])
@pytest.mark.parametrize('extractor', MODELS)
def test_a_frame_needs_no_value_and_no_other_device(extractor, size_hw, monkeypatch):
    monkeypatch.setattr(convolution, '_compute_dtype', lambda features: features.dtype)
    dynamic, static = make(extractor)
    for module in (static.network, static.refiner, dynamic.refiner):
        module.to('meta')
    images = random_images(*size_hw).to('meta')
    with Operators() as ran:
        output = run(static, images, alpha=1.0, budget=0.1)
    assert output.labels.shape == (1, *size_hw) and ran.waiting == []
    with pytest.raises(RuntimeError, match='meta'):
        run(SparseRefine(static.network, dynamic.refiner), images, alpha=1.0, budget=0.1)


def test_a_budget_may_be_decided_within_the_frame():
    dynamic, static = make('blocks')
    images, asked = random_images(64, 96), []

    def decide():
        asked.append(True)
        return 0.1
    with Operators() as ran:
        got = run(static, images, (), alpha=0.0, budget=decide)
    assert asked == [True] and ran.waiting == []
    assert torch.equal(got.refined, run(dynamic, images, alpha=0.0, budget=0.1).refined)
    assert run(static, images, alpha=0.0, budget=lambda: 1.0).refined.all()


def test_a_gpu_has_static_shapes_and_a_cpu_has_not():
    refiner, truth = tiny_model().refiner, torch.zeros(1, 4, 4)
    cuda, limited = torch.device('cuda'), Request(budget=0.1)
    assert not refiner.has_static_shapes(cuda, limited)  # with gradients
    with torch.no_grad():
        assert refiner.has_static_shapes(cuda, limited)
        assert not refiner.has_static_shapes(torch.device('cpu'), limited)
        assert not refiner.has_static_shapes(cuda, Request(budget=0.1, truth=truth))
        for budget in (None, 1.0):
            assert not refiner.has_static_shapes(cuda, Request(budget=budget))


def test_where_the_truth_or_every_selected_pixel_is_looked_at_shapes_follow_the_selection():
    dynamic, static = make('unet')
    images, truth = random_images(64, 96), torch.ones(1, 64, 96, dtype=torch.uint8)
    limits = {'alpha': 1.0, 'budget': 0.1, 'truth': truth}
    got, want = (run(method, images, (PROPER_SCORES,), **limits) for method in (static, dynamic))
    assert torch.equal(got.nll, want.nll) and got.is_cut is want.is_cut
    pointnet = make_pointnet()
    assert run(pointnet, images, alpha=1.0, budget=0.1).refined.any()


def make_pointnet() -> SparseRefine:
    model = tiny_model(extractor='pointnet', planes=(4, 8, 16))
    return as_on_gpu(SparseRefine(model.network.eval(), folded(model.refiner), 0.5))


def test_a_segmenter_says_the_same():
    model = tiny_refined_by_network()
    segment = assemble(model, SparseRefineConfig(alpha=1.0, budget=0.2), 'cpu', 'fp32', {})
    image = street_image(65, 98)
    want = segment(image)
    got = segment.with_method(as_on_gpu(segment.method))(image)
    assert np.array_equal(got.refined, want.refined) and want.refined.any()
    np.testing.assert_allclose(got.uncertainty, want.uncertainty, rtol=0, atol=1e-4)
    assert got.is_cut is want.is_cut is True
    assert got.milliseconds.keys() == want.milliseconds.keys()


@pytest.mark.parametrize('low, full', [(9, 18), (18, 37), (19, 37), (7, 15), (5, 14), (6, 6),
                                       (8, 13), (512, 1024), (341, 1024), (333, 1000)])
def test_most_covered_is_counted_as_nearest_interpolation_has_it(low, full):
    rows = nearest_rows(low, full, torch.device('cpu'))
    assert most_covered(low, full) == rows.bincount().max()
    want = F.interpolate(torch.arange(low)[None, None].double(), full, mode='nearest').flatten()
    assert most_covered(low, full) == want.long().bincount().max()
