# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Curves, AUROC, calibration error and temperature, against direct computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparse_seg_ros.evaluation.uncertainty import (
    UncertaintyCurve,
    calibration_error,
    fit_temperature,
)

CLASSES = 11


def some_errors(pixels=3000):
    random = np.random.default_rng(0)
    nats = random.beta(0.5, 2, pixels) * math.log(CLASSES)
    return nats, random.random(pixels) < nats / math.log(CLASSES)


def curve_of(*parts):
    curve = UncertaintyCurve(CLASSES)
    for nats, is_wrong in parts:
        curve.add(nats, is_wrong)
    return curve


@pytest.mark.parametrize('alpha', [0.0, 0.003, 0.1, 0.7, 2.0, 2.5])
def test_a_threshold_selects_what_a_comparison_selects(alpha):
    nats, is_wrong = some_errors()
    point = curve_of((nats[:1000], is_wrong[:1000]), (nats[1000:], is_wrong[1000:])).at(alpha)
    above = nats > point.alpha  # the nearest bin
    assert point.alpha == pytest.approx(min(alpha, math.log(CLASSES)), rel=0.006)
    assert point.density == above.mean()
    assert point.recall == is_wrong[above].sum() / is_wrong.sum()
    assert point.precision == (is_wrong[above].mean() if above.any() else 0)


def test_the_threshold_for_a_recall_is_the_highest_that_reaches_it():
    curve = curve_of(some_errors())
    point = curve.for_recall(0.8)
    higher = curve.at(point.alpha * 1.02)
    assert higher.recall < 0.8 <= point.recall


def test_the_threshold_for_a_density_is_the_lowest_that_keeps_it():
    curve = curve_of(some_errors())
    point = curve.for_density(0.1)
    lower = curve.at(point.alpha * 0.97)
    assert point.density <= 0.1 < lower.density


def test_without_errors_every_recall_holds_and_auroc_is_unknown():
    curve = curve_of((np.array([0.1, 0.2]), np.array([False, False])))
    assert curve.for_recall(0.8).alpha == 0 and math.isnan(curve.auroc())


def test_an_empty_curve_says_so():
    with pytest.raises(ValueError, match='no labelled pixels to calibrate on'):
        UncertaintyCurve(CLASSES).points()


def test_auroc_is_the_fraction_of_pairs_in_the_right_order():
    nats, is_wrong = some_errors(800)
    wins = nats[is_wrong][:, None] > nats[~is_wrong][None]
    assert curve_of((nats, is_wrong)).auroc() == pytest.approx(wins.mean(), abs=2e-3)


def drawn(logits):
    generator = torch.Generator().manual_seed(1)
    return torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def test_calibration_error_is_near_zero_when_labels_are_drawn_from_the_probabilities():
    logits = torch.randn(60000, CLASSES, generator=torch.Generator().manual_seed(0)) * 2
    labels = drawn(logits)
    assert calibration_error(logits, labels) < 0.01
    assert calibration_error(logits * 3, labels) > 0.15


def test_calibration_error_by_hand():
    logits = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]]).log()
    labels = torch.tensor([0, 1, 1])
    expected = (2 * abs(0.9 - 0.5) + abs(0.7 - 1)) / 3
    assert calibration_error(logits, labels) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('temperature', [0.3, 1.0, 4.0])
def test_the_temperature_that_was_applied_is_found(temperature):
    logits = torch.randn(60000, CLASSES, generator=torch.Generator().manual_seed(0)) * 2
    found = fit_temperature(logits * temperature, drawn(logits))
    assert found == pytest.approx(temperature, rel=0.03)
