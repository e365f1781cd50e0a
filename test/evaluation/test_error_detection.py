# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures from histograms equal those of torchmetrics and scikit-learn on the same codes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparse_seg_ros.evaluation.error_detection import (
    Calibration,
    ErrorDetection,
    ProperScores,
    Selection,
)
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix


def cases(count=100):
    """Yield coded values, and which pixels are labelled and wrong; many values are ties."""
    random = np.random.default_rng(0)
    for number in range(count):
        size_hw = tuple(random.integers(3, 40, 2))
        codes = random.integers(0, 65535, size_hw) // (1 + 997 * (number % 2)) * (
            1 + 997 * (number % 2))
        is_labelled = random.random(size_hw) < 0.9
        is_wrong = (random.random(size_hw) < codes / 9e4) & is_labelled
        yield (codes / 65535).astype(np.float32), codes, is_labelled, is_wrong


def test_auroc_and_average_precision_are_those_of_scikit_learn():
    metrics = pytest.importorskip('sklearn.metrics')
    for values, codes, is_labelled, is_wrong in cases():
        counted = ErrorDetection()
        counted.add(values, is_labelled, is_wrong)
        truth, scores = is_wrong[is_labelled], codes[is_labelled]
        if truth.any() and not truth.all():
            assert counted.auroc() == pytest.approx(metrics.roc_auc_score(truth, scores),
                                                    abs=1e-12)
            assert counted.aupr() == pytest.approx(
                metrics.average_precision_score(truth, scores), abs=1e-12)


def test_the_calibration_error_is_that_of_torchmetrics():
    functional = pytest.importorskip('torchmetrics.functional.classification')
    for values, codes, is_labelled, is_wrong in cases():
        counted = Calibration()
        counted.add(values, is_labelled, is_wrong)
        kept = is_labelled & (codes % 4369 != 0)  # a value on an edge is rounded by the library
        if (kept != is_labelled).any():
            counted = Calibration()
            counted.add(values, kept, is_wrong & kept)
        confidence = torch.from_numpy(codes[kept] / 65535)
        right = torch.from_numpy(~is_wrong[kept]).long()
        theirs = functional.binary_calibration_error(confidence, right, n_bins=15, norm='l1')
        assert counted.ece() == pytest.approx(float(theirs), abs=1e-12)


def test_the_risk_coverage_area_is_that_of_its_steps():
    for values, codes, is_labelled, is_wrong in cases(20):
        counted = ErrorDetection()
        counted.add(values, is_labelled, is_wrong)
        scores, wrong = codes[is_labelled], is_wrong[is_labelled]
        area, before = 0.0, 0.0
        for code in np.unique(scores):
            covered = scores <= code
            area += (covered.mean() - before) * wrong[covered].mean()
            before = covered.mean()
        assert counted.aurc() == pytest.approx(area, abs=1e-12)
        assert counted.risk_coverage(10)[-1] == pytest.approx([1, wrong.mean()])
        assert not wrong.any() or counted.density_recall(10)[-1] == [1, 1]


def test_codes_move_a_value_by_less_than_a_hundred_thousandth():
    metrics = pytest.importorskip('sklearn.metrics')
    random = np.random.default_rng(0)
    values = random.random((200, 300), np.float32)
    is_wrong = random.random(values.shape) < values ** 2
    everywhere = np.ones_like(is_wrong)
    counted, calibration = ErrorDetection(), Calibration()
    counted.add(values, everywhere, is_wrong)
    calibration.add(values, everywhere, is_wrong)
    assert counted.auroc() == pytest.approx(
        metrics.roc_auc_score(is_wrong.ravel(), values.ravel()), abs=1e-5)
    confidence, right, _ = calibration.bins().T
    assert np.isfinite(confidence).all() and np.isfinite(right).all()


def test_iou_is_that_of_torchmetrics():
    functional = pytest.importorskip('torchmetrics.functional.classification')
    random = np.random.default_rng(0)
    for _ in range(100):
        truth, predicted = random.integers(0, 6, (2, 20, 30), np.uint8)
        truth[random.random(truth.shape) < 0.1] = 255
        matrix = ConfusionMatrix(6)
        matrix.add(predicted, truth)
        theirs = functional.multiclass_confusion_matrix(
            torch.from_numpy(predicted).long(), torch.from_numpy(truth).long(), 6,
            ignore_index=255)
        hits = theirs.diag().double()
        iou = hits / (theirs.sum(0) + theirs.sum(1) - hits)
        assert matrix.iou() == pytest.approx(iou.numpy(), abs=1e-12)


def test_nothing_counted_is_not_a_number_and_no_error():
    nothing = np.zeros((2, 3), bool)
    for counted in (ErrorDetection(), Calibration()):
        counted.add(np.ones((2, 3), np.float32), nothing, nothing)
    detection = ErrorDetection()
    for figure in (detection.auroc(), detection.aupr(), detection.aurc(), Calibration().ece(),
                   ProperScores().brier(), ProperScores().nll()):
        assert math.isnan(figure)
    assert detection.density_recall(9) == detection.risk_coverage(9) == []
    assert set(Selection().figures().values()) == {None}
