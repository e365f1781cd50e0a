# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernels of the selection: entropy within rounding of float64, the k-th highest exactly."""

from __future__ import annotations

import math

import pytest
import torch

from sparse_seg_ros.kernels.switch import checked
from sparse_seg_ros.methods import reading
from sparse_seg_ros.methods.sparse_refine.selection import highest

scores = pytest.importorskip('sparse_seg_ros.kernels.scores')
EPS = torch.finfo(torch.float32).eps


@pytest.fixture(autouse=True)
def find_in_one_step(monkeypatch):
    """Let one program add up all bins at once, which the interpreter does five times faster."""
    monkeypatch.setattr(scores, 'CHUNK', scores.BINS)


def random_logits(*shape, dtype=torch.float32, spread=4.0):
    generator = torch.Generator().manual_seed(sum(shape))
    return (spread * torch.randn(shape, generator=generator)).to(dtype)


def entropy_bound(logits):
    """
    Return how far rounding may take the entropy of each pixel, in nats.

    The exponent is rounded to eps times its size, at most the spread of the logits, and so are
    the powers, relatively; the sums over C classes add C eps. All that changes the entropy by
    the sum of p |log p| and of p times the error of log p: both are at most spread + ln C.
    """
    spread = float(logits.amax() - logits.amin()) + math.log(logits.shape[1])
    return 4 * EPS * (logits.shape[1] + spread) * (1 + spread)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('shape', [
    (1, 2, 1, 1), (2, 19, 9, 13), (1, 11, 33, 40), (1, 150, 5, 7), (3, 255, 2, 3)])
def test_entropy_is_that_of_float64(shape, dtype):
    logits = random_logits(*shape, dtype=dtype)
    for floor in (-math.inf, reading.LOG_FLOOR):
        got = scores.entropy_map(logits, floor)
        log_p = logits.double().log_softmax(1)
        want = -(log_p.exp() * log_p.clamp_min(floor)).sum(1)
        assert got.dtype == torch.float32
        assert (got - want).abs().max() <= entropy_bound(logits.double())


def test_entropy_of_no_pixels_is_empty():
    assert scores.entropy_map(torch.zeros(2, 5, 0, 4)).shape == (2, 0, 4)
    assert scores.entropy_map(torch.zeros(0, 5, 3, 4)).shape == (0, 3, 4)


def test_what_is_not_a_number_stays_so():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 1] = math.nan
    logits[0, 2, 1, 0] = math.inf
    assert scores.entropy_map(logits).isnan().flatten().tolist() == [False, True, True, False]


@pytest.mark.parametrize('values', [
    torch.rand(3, 200, generator=torch.Generator().manual_seed(0)),
    torch.randn(1, 2100, generator=torch.Generator().manual_seed(1)) * 100,
    torch.zeros(2, 7), torch.tensor([[0.0, -0.0, 0.0, -1e-40, 1e-40, -math.inf, math.inf]]),
    1 + torch.arange(600).flip(0)[None] * EPS,  # all in one bin of the upper half
    torch.tensor([[0.5]])], ids=['uniform', 'normal', 'equal', 'signs', 'near', 'one'])
def test_the_kth_highest_is_exact(values):
    ordered = values.sort(1, descending=True).values
    count = values.shape[1]
    for rank in sorted({1, -(-count // 3), count}):
        assert torch.equal(scores.kth_highest(values, rank), ordered[:, rank - 1:rank]), rank


def test_the_kth_highest_is_exact_in_steps(monkeypatch):
    monkeypatch.setattr(scores, 'CHUNK', scores.BINS // 4)
    values = torch.linspace(-9, 9, 50)[None]
    ordered = values.sort(1, descending=True).values
    for rank in (1, 25, 26, 50):
        assert torch.equal(scores.kth_highest(values, rank), ordered[:, rank - 1:rank]), rank


@pytest.mark.parametrize('count', [1, 37, 221])
def test_its_threshold_selects_what_torch_selects(count):
    logits = random_logits(2, 19, 13, 17).round()  # with equal scores
    entropy = scores.entropy_map(logits)
    threshold = scores.kth_highest(entropy.flatten(1), count)[..., None]
    chosen = highest(entropy, count)
    assert entropy[chosen].min() >= threshold.min()
    assert ((entropy > threshold) <= chosen).all() and (chosen <= (entropy >= threshold)).all()
    assert chosen.flatten(1).sum(1).tolist() == [count, count]


@pytest.mark.parametrize('count', [0, 8])
def test_a_count_beyond_the_scores_is_refused(count):
    with pytest.raises(ValueError, match=f'count must be from 1 to 7, got {count}'):
        scores.kth_highest(torch.zeros(1, 7), count)


def test_the_entropy_of_a_method_is_that_of_the_kernel_on_a_gpu(monkeypatch):
    logits = random_logits(1, 19, 6, 11)
    want = reading.entropy_map(logits)
    monkeypatch.setattr(reading, 'kernels_of', lambda stage, device: checked(stage, 'cpu'))
    got = reading.entropy_map(logits)
    assert (got - want).abs().max() <= 2 * entropy_bound(logits)
    assert reading.entropy_map(logits.double()).dtype == torch.float64  # no kernel for it
    assert reading.entropy_map(logits.requires_grad_()).requires_grad
