# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every method promises, tried on all of them."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tiny import TinySegmenter, tiny_model

from sparse_seg_ros.methods.algm import Merging
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.settings import CLUSTERING_RULES
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.patch_refine.method import PatchRefine
from sparse_seg_ros.methods.point_rend.method import PointRend
from sparse_seg_ros.methods.request import PROPER_SCORES, Request
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_vit.method import SparseViT
from sparse_seg_ros.networks.mask2former import Mask2Former
from sparse_seg_ros.timing import Stopwatch

SIZES_HW = [(64, 96), (61, 97), (3, 5)]


def make_dense(scale=0.5):
    return Dense(tiny_model(refines=False).network, scale)


def make_sparse_refine(scale=0.5, alpha=2.3):
    model = tiny_model(alpha=alpha)
    torch.nn.init.normal_(model.refiner.head.weight)  # an untrained head says nothing
    return SparseRefine(model.network, model.refiner, scale)


def make_point_rend(scale=0.5):
    model = tiny_model(refined_by='point_rend', planes=(8, 8))
    torch.nn.init.normal_(model.refiner.predict.weight)
    return PointRend(model.network, model.refiner, scale)


def make_patch_refine(scale=0.5):
    model = tiny_model(refined_by='patch_refine', patch=16, alpha=2.3)
    torch.nn.init.normal_(model.refiner.head.weight)
    return PatchRefine(model.network, model.refiner, scale)


def make_algm(scale=0.5):
    torch.manual_seed(0)
    merging = Merging((1, 2), threshold=0.2, rule='fixed')
    return Algm(TinySegmenter(11).eval(), merging, scale)


def make_rival(rule, scale=0.5):
    torch.manual_seed(0)
    return Algm(TinySegmenter(11).eval(), Merging((1, 2), rule=rule), scale)


def make_sparse_vit(scale=0.5):
    hugging_face = pytest.importorskip('hugging_face')
    network = Mask2Former(hugging_face.tiny_mask2former(11, 64))
    return SparseViT(network, (0.3, 0.3, 0.3, 0.3), scale)


METHODS = {'dense': make_dense, 'sparse_refine': make_sparse_refine,
           'point_rend': make_point_rend, 'patch_refine': make_patch_refine, 'algm': make_algm,
           'sparse_vit': make_sparse_vit,
           **{rule: partial(make_rival, rule) for rule in CLUSTERING_RULES}}


def run(method, images, wants=('confidence',), **limits):
    clock, request = Stopwatch(), Request(wants=frozenset(wants), **limits)
    with torch.inference_mode():
        return method(images, request, clock), clock.milliseconds


def random_images(batch, height, width):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(name='make', params=METHODS.values(), ids=METHODS)
def each_method(request):
    return request.param


@pytest.mark.parametrize('size_hw', SIZES_HW)
@pytest.mark.parametrize('scale', [1.0, 0.5, 0.3])
def test_outputs_have_the_size_of_the_image(make, size_hw, scale):
    output, _ = run(make(scale), random_images(1, *size_hw))
    assert output.labels.shape == output.uncertainty.shape == output.confidence.shape \
        == (1, *size_hw)
    assert output.labels.dtype == torch.uint8 and output.labels.max() < 11


def test_uncertainty_and_confidence_are_fractions(make):
    output, _ = run(make(), random_images(1, 64, 96))
    for values in (output.uncertainty, output.confidence):
        assert values.dtype == torch.float32 and 0 <= values.min() and values.max() <= 1
    assert output.confidence.min() >= 1 / 11 - 1e-6  # the label is the likeliest of 11


def test_confidence_is_left_out_unless_asked_for(make):
    output, _ = run(make(), random_images(1, 64, 96), wants=())
    assert output.confidence is None


@pytest.mark.parametrize('size_hw', SIZES_HW)
@pytest.mark.parametrize('scale', [1.0, 0.5, 0.3])
def test_proper_scores_are_those_of_the_probabilities_of_all_pixels(make, size_hw, scale):
    method, images = make(scale), random_images(2, *size_hw)
    method.temperature = 1.5
    generator = torch.Generator().manual_seed(3)
    truth = torch.randint(0, 11, (2, *size_hw), generator=generator, dtype=torch.uint8)
    truth[:, :1] = 255
    output, _ = run(method, images, ('confidence', PROPER_SCORES), truth=truth)
    plain, _ = run(method, images, ('confidence',), truth=truth)
    for name in ('labels', 'uncertainty', 'confidence'):
        assert torch.equal(getattr(output, name), getattr(plain, name))
    assert plain.nll is None and run(method, images, (PROPER_SCORES,))[0].nll is None
    with torch.inference_mode():
        logits = method.full_logits(images, Request(truth=truth)).double() / 1.5
    p, ids = logits.softmax(1), truth.long().clamp(max=10)[:, None]
    is_void = truth == 255
    nll = -logits.log_softmax(1).gather(1, ids)[:, 0].masked_fill(is_void, math.nan)
    one_hot = torch.zeros_like(p).scatter(1, ids, 1.0)
    brier = ((p - one_hot) ** 2).sum(1).masked_fill(is_void, math.nan)
    torch.testing.assert_close(output.nll.double(), nll, atol=1e-4, rtol=1e-4, equal_nan=True)
    torch.testing.assert_close(output.brier.double(), brier, atol=1e-5, rtol=1e-5,
                               equal_nan=True)
    assert output.nll.dtype == output.brier.dtype == torch.float32


def test_proper_scores_of_a_large_image_are_those_of_a_lattice(make, monkeypatch):
    method, images = make(0.5), random_images(2, 50, 71)
    truth = torch.randint(0, 11, (2, 50, 71), dtype=torch.uint8)
    every, _ = run(method, images, (PROPER_SCORES,), truth=truth)
    monkeypatch.setattr('sparse_seg_ros.methods.proper_scores.MOST_PIXELS', 500)
    some, _ = run(method, images, (PROPER_SCORES,), truth=truth)
    for name in ('nll', 'brier'):
        torch.testing.assert_close(getattr(some, name), getattr(every, name)[:, ::3, ::3])


def test_an_image_is_segmented_the_same_in_any_company(make):
    images = random_images(3, 48, 64)
    together, alone = run(make(), images)[0], run(make(), images[1:2])[0]
    torch.testing.assert_close(together.uncertainty[1:2], alone.uncertainty, atol=1e-4, rtol=0)
    assert (together.labels[1:2] == alone.labels).float().mean() > 0.999


def test_stages_are_timed(make):
    _, milliseconds = run(make(), random_images(1, 48, 64))
    assert {'dense', 'label'} <= milliseconds.keys()
    assert all(spent >= 0 for spent in milliseconds.values())


def test_multiply_accumulates_are_counted_for_every_stage_that_computes(make):
    method = make()
    output, milliseconds = run(method, random_images(1, 48, 64))
    counted = method.count_macs((48, 64), output.refined, output.work)
    assert counted.keys() == milliseconds.keys() - {'select', 'label'}
    if not isinstance(method, (Algm, SparseViT)):  # whose products have no layer
        assert counted['dense'] == sum_of_layers(method.network, random_images(1, 32, 32))


def sum_of_layers(network, images):
    """Multiply-accumulates of the convolutions, from their shapes as they are called."""
    counts = []

    def add(layer, given, output):
        counts.append(output[0, 0].numel() * layer.weight.numel())
    hooks = [layer.register_forward_hook(add) for layer in network.modules()
             if isinstance(layer, torch.nn.Conv2d)]
    network(images)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def test_refinement_changes_refined_pixels_only():
    images = random_images(1, 64, 96)
    method = make_sparse_refine()
    dense, _ = run(Dense(method.network, method.scale), images)
    half = dense.uncertainty.median().item() * math.log(11)
    refined, _ = run(method, images, alpha=half)
    chosen = refined.refined
    assert 0 < chosen.sum() < chosen.numel()
    assert torch.equal(refined.labels[~chosen], dense.labels[~chosen])
    torch.testing.assert_close(refined.uncertainty[~chosen], dense.uncertainty[~chosen])
    assert (refined.labels[chosen] != dense.labels[chosen]).any()


def test_a_threshold_that_nothing_exceeds_gives_the_dense_result():
    images = random_images(1, 64, 96)
    method = make_sparse_refine(alpha=math.log(11))
    refined, _ = run(method, images)
    dense, _ = run(Dense(method.network, method.scale), images)
    assert not refined.refined.any()
    assert torch.equal(refined.labels, dense.labels)
    torch.testing.assert_close(refined.uncertainty, dense.uncertainty)


def test_a_threshold_of_zero_refines_everything():
    output, _ = run(make_sparse_refine(alpha=0.0), random_images(1, 64, 96))
    assert output.refined.all()


def test_limits_hold(make):
    method, images = make(), random_images(2, 64, 96)
    limits = method.limits()
    for name, limit in limits.items():
        asked, _ = run(method, images, **{name: limit.default})
        assert torch.equal(asked.labels, run(method, images)[0].labels)
    if 'alpha' in limits:
        assert not run(method, images, alpha=limits['alpha'].most)[0].refined.any()
    if 'budget' in limits:
        for budget in (0.0, 0.1, 0.5):
            refined = run(method, images, alpha=0.0, budget=budget)[0].refined
            assert (refined.float().mean((1, 2)) <= budget).all()


def test_a_budget_is_decided_after_the_dense_stage_and_says_whether_it_cut(make):
    method, images, calls = make(), random_images(1, 64, 96), []
    if 'budget' not in method.limits():
        pytest.skip('refines nothing')

    def run_with(fraction):
        clock = Stopwatch()

        def decide():
            calls.append(set(clock.milliseconds))
            return fraction
        with torch.inference_mode():
            return method(images, Request(0.0, decide), clock)
    given, fixed = run_with(0.1), run(method, images, (), alpha=0.0, budget=0.1)[0]
    assert calls == [{'dense'}] and torch.equal(given.labels, fixed.labels)
    assert run_with(0.0).is_cut and not run_with(1.0).is_cut


def test_a_budget_alone_refines_exactly_as_much_on_every_image():
    output, _ = run(make_sparse_refine(alpha=0.0), random_images(3, 64, 96), budget=0.25)
    assert (output.refined.flatten(1).sum(1) == 64 * 96 // 4).all()
