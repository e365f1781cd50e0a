# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole refiner: shapes, start, errors, loss and published sizes."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from tiny import tiny_model
from torch.nn import functional as F

from sparse_seg_ros.methods.reading import read_logits
from sparse_seg_ros.methods.sparse_refine.cost import count_macs
from sparse_seg_ros.methods.sparse_refine.loss import refinement_loss
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.methods.sparse_refine.selector import Scene

CLASSES = 5


def some_refiner(**changes) -> SparseRefiner:
    torch.manual_seed(0)
    return SparseRefiner(**{'num_classes': CLASSES, 'planes': (4, 8, 16), 'alpha': 0.8, **changes})


def some_input(batch=2, size=(30, 44), low=(15, 22), classes=CLASSES) -> tuple:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(batch, 3, *size, generator=generator)
    return image, 3 * torch.randn(batch, classes, *low, generator=generator)


def scrambled(refiner: SparseRefiner) -> SparseRefiner:
    """Leave the identity that training starts from."""
    with torch.no_grad():
        for parameter in (*refiner.head.parameters(), *refiner.ensembler.parameters()):
            parameter.normal_(std=0.3)
    return refiner


@pytest.mark.parametrize('inputs', [('rgb',), ('rgb', 'logits')])
@pytest.mark.parametrize('size', [(30, 44), (37, 50), (15, 22)], ids=str)
def test_it_refines_the_pixels_above_alpha_in_row_major_order(size, inputs):
    image, logits = some_input(size=size)
    seen = scrambled(some_refiner(inputs=inputs))(image, logits)
    full = F.interpolate(logits, size, mode='nearest')
    p = full.softmax(1)
    want = -(p * p.log()).sum(1) > 0.8
    assert torch.equal(seen.selected, want)
    assert torch.equal(seen.flat, want.flatten().nonzero()[:, 0])
    assert torch.equal(seen.coarse, full.movedim(1, -1)[want])
    assert seen.refined.shape == seen.ensembled.shape == (int(want.sum()), CLASSES)
    assert torch.equal(seen.full().movedim(1, -1)[want], seen.ensembled)
    assert torch.equal(seen.full().movedim(1, -1)[~want], full.movedim(1, -1)[~want])


@pytest.mark.parametrize('inputs', [('rgb',), ('rgb', 'logits')])
@pytest.mark.parametrize('classes', [CLASSES, 150])
def test_training_starts_from_the_low_resolution_prediction(classes, inputs):
    image, logits = some_input(classes=classes)
    seen = some_refiner(num_classes=classes, inputs=inputs).train()(image, logits)
    torch.testing.assert_close(seen.ensembled, seen.coarse)
    assert torch.equal(seen.ensembled.argmax(1), seen.coarse.argmax(1))


def test_every_parameter_gets_a_gradient_once_the_head_is_not_zero():
    image, logits = some_input()
    refiner = scrambled(some_refiner(inputs=('rgb', 'logits')))
    refinement_loss(refiner(image, logits), torch.randint(CLASSES, (2, 30, 44))).backward()
    idle = [
        name
        for name, parameter in refiner.named_parameters()
        if not parameter.grad.abs().max() > 0
    ]
    assert idle == []


def test_a_few_steps_lower_the_loss():
    image, logits = some_input()
    labels = (image[:, 0] > 0).long()
    refiner = some_refiner()
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = refinement_loss(refiner(image, logits), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_nothing_selected():
    image, logits = some_input()
    refiner = some_refiner(alpha=1.609)  # just below ln 5
    seen = refiner(image, logits)
    assert seen.ensembled.shape == (0, CLASSES)
    assert torch.equal(seen.full(), F.interpolate(logits, (30, 44), mode='nearest'))
    loss = refinement_loss(seen, torch.zeros(2, 30, 44))
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad.eq(0).all() for parameter in refiner.parameters())


def test_batch_mates_change_nothing():
    image, logits = some_input()
    refiner = scrambled(some_refiner()).eval()
    alone = [refiner(image[i : i + 1], logits[i : i + 1]).ensembled for i in range(2)]
    torch.testing.assert_close(refiner(image, logits).ensembled, torch.cat(alone))


def test_autocast_to_bfloat16_stays_close():
    image, logits = some_input()
    refiner = scrambled(some_refiner(planes=(16, 32, 64)))
    want = refiner(image, logits)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = refiner(image, logits)
        loss = refinement_loss(got, torch.zeros(2, 30, 44))
    loss.backward()
    spread = want.refined.std().item()
    assert (got.refined.float() - want.refined).abs().mean() < 0.05 * spread
    assert torch.equal(got.selected, want.selected)


def test_stages_are_timed_by_the_clock_given():
    stages = Counter()

    @contextmanager
    def clock(stage):
        yield stages.update([stage])

    some_refiner()(*some_input(), clock=clock)
    assert stages == {'select': 1, 'extract': 1, 'ensemble': 1}


def test_loss_is_the_cross_entropy_of_both_predictions_at_labelled_selected_pixels():
    image, logits = some_input()
    seen = scrambled(some_refiner())(image, logits)
    labels = torch.randint(CLASSES, (2, 30, 44), dtype=torch.uint8)
    labels[:, :10] = 255
    weights = torch.rand(CLASSES)
    targets = labels[seen.selected].long()
    is_labelled = targets != 255
    want = sum(
        F.cross_entropy(y[is_labelled], targets[is_labelled], weights)
        for y in (seen.refined, seen.ensembled)
    )
    torch.testing.assert_close(refinement_loss(seen, labels, weights), want)


def test_loss_of_void_is_zero_with_a_gradient():
    refiner = some_refiner()
    loss = refinement_loss(refiner(*some_input()), torch.full((2, 30, 44), 255))
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None for parameter in refiner.parameters())


@pytest.mark.parametrize(
    ('planes', 'parameters', 'macs'),
    [
        ((32, 64, 128, 256, 512, 1024), 79_340_456, 1.0475e12),
        ((32, 64, 128, 256, 512), 19_817_384, 0.8606e12),
        ((32, 64, 128, 256), 4_932_520, None),
    ],
)
def test_it_has_the_published_size(planes, parameters, macs):
    with torch.device('meta'):
        refiner = SparseRefiner(19, planes)
    count = lambda module: sum(parameter.numel() for parameter in module.parameters())  # noqa: E731
    assert (count(refiner), count(refiner.head), count(refiner.ensembler)) == (
        parameters,
        627,
        5_269,
    )
    if macs:
        counted = count_macs(refiner, torch.ones(1, 1024, 2048, dtype=torch.bool))
        assert counted['extract'] == pytest.approx(macs, abs=5e7)
        assert counted['ensemble'] == 5_120 * 1024 * 2048


def test_macs_count_the_pairs_that_exist():
    one = torch.zeros(1, 20, 20, dtype=torch.bool)
    one[0, 8, 8] = True  # even row and column: four coarser pixels see it
    with torch.device('meta'):
        refiner = SparseRefiner(19, (4, 8))
    stem_and_head = 3 * 4 + 4 * 19
    coarse_pairs = 16  # of four pixels in a block
    want = stem_and_head + 16 * (9 + 2) + 2 * 32 * 4 + 4 * 64 * coarse_pairs
    assert count_macs(refiner, one)['extract'] == want


def test_errors_say_what_was_expected_got_and_the_cure():
    image, logits = some_input()
    refiner = some_refiner()
    with pytest.raises(ValueError, match=r'image must be \(B, 3, H, W\).* got \(2, 4, 30, 44\)'):
        refiner(torch.zeros(2, 4, 30, 44), logits)
    with pytest.raises(
        ValueError, match=r'logits must be \(2, 5, h, w\), got \(2, 4, 15, 22\); build'
    ):
        refiner(image, logits[:, :4])
    with pytest.raises(
        ValueError, match='at least 63 px on its short side for 6 stages, got 62x80'
    ):
        some_refiner(planes=(2,) * 6)(torch.zeros(2, 3, 62, 80), logits)
    with pytest.raises(ValueError, match=r"inputs must be one of .*; got \('depth',\)"):
        some_refiner(inputs=('depth',))


def test_the_entropy_of_the_selector_is_the_uncertainty_that_would_be_read():
    model = tiny_model()
    method = SparseRefine(model.network, model.refiner, 0.5)
    logits = 4 * torch.randn(2, 11, 24, 32)
    scores = model.refiner.selector(Scene(None, logits))
    labels, uncertainty, _ = method.read_low(logits, scores, wants_confidence=False)
    expected = read_logits(logits, 1.0, wants_confidence=False)
    assert torch.equal(labels, expected[0])
    # the selector's logarithms end at that of 1e-5, so p log p is off by at most 1e-5 a class
    assert (uncertainty - expected[1]).abs().max() < 11 * 1e-5
    method.temperature = 1.5
    labels, uncertainty, _ = method.read_low(logits, scores, wants_confidence=False)
    assert torch.equal(uncertainty, read_logits(logits, 1.5, wants_confidence=False)[1])
