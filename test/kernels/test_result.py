# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel that writes the outputs of a frame equals the steps of torch, pixel by pixel."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from tiny import tiny_model

from sparse_seg_ros.kernels.switch import checked
from sparse_seg_ros.methods import reading
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine import selection
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.timing import Stopwatch

result = pytest.importorskip('sparse_seg_ros.kernels.result')
EPS = torch.finfo(torch.float32).eps


def make_frame(batch, classes, low_hw, size_hw, dtype=torch.float32):
    """Return coarse and refined logits, and where the refined ones go: all of some low pixels."""
    generator = torch.Generator().manual_seed(classes)
    logits = (4 * torch.randn((batch, classes, *low_hw), generator=generator)).to(dtype)
    chosen = torch.rand((batch, *low_hw), generator=generator) < 0.4
    selected = reading.enlarge(chosen, size_hw)
    positions = selected.flatten().nonzero()[:, 0]
    positions = positions[torch.randperm(len(positions), generator=generator)]
    fine = (4 * torch.randn((len(positions), classes), generator=generator)).to(dtype)
    return logits, fine, positions, selected, chosen


def exact(logits, fine, positions, selected, temperature):
    """Pixel by pixel, in float64: labels, uncertainty, confidence."""
    pixels = torch.nn.functional.interpolate(
        logits.double(), selected.shape[1:], mode='nearest').movedim(1, -1).flatten(0, 2)
    pixels[positions] = fine.double()
    log_p = (pixels / temperature).log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1) / math.log(logits.shape[1])
    return tuple(values.view(selected.shape) for values in (
        pixels.argmax(1), entropy, log_p.exp().amax(1)))


@pytest.mark.parametrize(('batch', 'classes', 'low_hw', 'size_hw'), [
    (1, 19, (6, 8), (12, 16)), (2, 11, (7, 9), (15, 17)), (1, 3, (1, 1), (1, 1)),
    (1, 150, (5, 6), (5, 6)), (1, 2, (3, 5), (13, 11))])
@pytest.mark.parametrize(('temperature', 'dtype'), [
    (2.5, torch.float32), (1.0, torch.float16), (0.7, torch.bfloat16)],
    ids=str)
def test_it_writes_what_each_pixel_says(batch, classes, low_hw, size_hw, temperature, dtype):
    logits, fine, positions, selected, chosen = make_frame(batch, classes, low_hw, size_hw, dtype)
    want = exact(logits, fine, positions, selected, temperature)
    largest = float(torch.cat((logits.flatten(), fine.flatten())).abs().max())
    spread = 2 * largest / temperature + math.log(classes)
    bound = 4 * EPS * (classes + spread) * (1 + spread)  # as of the entropy, in test_scores.py
    for mask in (selected, chosen):
        labels, uncertainty, refined, confidence = result.finish(
            logits, fine, positions, mask, size_hw, temperature, True)
        assert torch.equal(labels, want[0].to(torch.uint8))
        assert torch.equal(refined, selected)
        assert (uncertainty - want[1]).abs().max() <= bound
        assert (confidence - want[2]).abs().max() <= bound
    assert result.finish(logits, fine.t().contiguous().t(), positions, chosen, size_hw,
                         temperature, False)[3] is None


def test_nothing_and_everything_may_be_refined():
    logits, *_ = make_frame(1, 5, (4, 4), (8, 8))
    none, all_of_it = torch.zeros(1, 8, 8, dtype=torch.bool), torch.ones(1, 4, 4, dtype=torch.bool)
    labels, _, refined, _ = result.finish(logits, logits.new_empty(0, 5), torch.empty(
        0, dtype=torch.int64), none, (8, 8), 1.0, False)
    assert torch.equal(labels, reading.enlarge(logits.argmax(1).to(torch.uint8), (8, 8)))
    assert not refined.any()
    places = torch.arange(64)
    labels, _, refined, _ = result.finish(
        logits, torch.eye(5)[places % 5], places, all_of_it, (8, 8), 1.0, False)
    assert labels.flatten().tolist() == [place % 5 for place in range(64)]
    assert refined.all()


def test_rows_beyond_the_image_are_written_nowhere():
    logits, fine, positions, selected, _ = make_frame(2, 5, (4, 4), (8, 8))
    want = result.finish(logits, fine, positions, selected, (8, 8), 1.0, True)
    order = torch.arange(len(fine) + 40).roll(7)
    padded = torch.cat((fine, torch.full((40, 5), 9.0)))[order]
    beyond = torch.cat((positions, torch.full((40,), selected.numel())))[order]
    got = result.finish(logits, padded, beyond, selected, (8, 8), 1.0, True)
    assert all(torch.equal(*pair) for pair in zip(got, want))


def test_of_equal_logits_the_first_class_wins():
    labels = result.finish(torch.zeros(1, 7, 2, 2), torch.zeros(0, 7), torch.empty(
        0, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=torch.bool), (2, 2), 1.0, False)[0]
    assert labels.sum() == 0


def test_what_is_not_a_number_is_not_sure():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 1] = math.nan
    _, uncertainty, _, confidence = result.finish(
        logits, torch.full((1, 3), math.nan), torch.tensor([3]),
        torch.tensor([[[False, False], [False, True]]]), (2, 2), 1.0, True)
    assert uncertainty.isnan().flatten().tolist() == [False, True, False, True]
    assert confidence.isnan().flatten().tolist() == [False, True, False, True]


@pytest.mark.parametrize('wants_confidence', [False, True])
def test_a_method_reads_by_the_kernel_on_a_gpu(monkeypatch, wants_confidence):
    *frame, _ = make_frame(1, 19, (6, 9), (12, 18))
    want = reading.read_both(*frame, 1.5, wants_confidence)
    monkeypatch.setattr(reading, 'kernels_of', lambda stage, device: checked(stage, 'cpu'))
    got = reading.read_both(*frame, 1.5, wants_confidence)
    assert torch.equal(got[0], want[0]) and (got[2] is None) == (want[2] is None)
    for near, true in zip(got[1:2 + wants_confidence], want[1:]):
        torch.testing.assert_close(near, true, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('is_static', [False, True])
def test_a_refined_frame_is_read_by_the_kernels_as_by_torch(monkeypatch, is_static):
    method, image = refining_method(), torch.randn(1, 3, 48, 64)
    if is_static:
        monkeypatch.setattr(method.refiner, 'static_on', ('cpu',), raising=False)
    request = Request(0.9, 0.1, wants=frozenset(['confidence']))
    with torch.inference_mode():
        want = method(image, request, Stopwatch())
        calls = []
        for module in (reading, selection):
            monkeypatch.setattr(module, 'kernels_of', lambda stage, _: calls.append(stage) or
                                importlib.import_module(f'sparse_seg_ros.kernels.{stage}'))
        seen = method(image, request, Stopwatch())
    assert {*calls} == {'scores', 'result'} and 0.01 < want.refined.float().mean() < 0.12
    assert torch.equal(seen.refined, want.refined) and torch.equal(seen.labels, want.labels)
    for part in ('uncertainty', 'confidence'):
        torch.testing.assert_close(getattr(seen, part), getattr(want, part), rtol=0, atol=1e-4)


def refining_method() -> SparseRefine:
    """Return SparseRefine with weights that matter."""
    torch.manual_seed(1)
    model = tiny_model()
    torch.nn.init.normal_(model.refiner.head.weight)
    return SparseRefine(model.network.eval(), model.refiner.eval(), 0.5)
