# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The confusion matrix and the report made of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.labels import VOID, LabelSet
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.segmenter import Segmenter


def count(predicted, truth, num_classes=3):
    matrix = ConfusionMatrix(num_classes)
    matrix.add(np.array(predicted, np.uint8), np.array(truth, np.uint8))
    return matrix


def test_iou_is_hits_over_the_union_and_classes_never_seen_do_not_count():
    matrix = count([0, 0, 1, 1], [0, 1, 1, 1])
    assert matrix.iou()[:2].tolist() == [1 / 2, 2 / 3] and np.isnan(matrix.iou()[2])
    assert matrix.mean_iou() == pytest.approx(7 / 12)
    assert matrix.accuracy() == 0.75


def test_class_accuracy_and_weighted_iou_equal_their_sums_over_classes():
    random = np.random.default_rng(0)
    for _ in range(100):
        matrix = ConfusionMatrix(5)
        truth, predicted = random.integers(0, 4, (2, 50), np.uint8)
        matrix.add(predicted, truth)
        classes = [k for k in range(5) if (truth == k).any()]
        right = [(predicted[truth == k] == k).mean() for k in classes]
        ious = [((predicted == k) & (truth == k)).sum() / ((predicted == k) | (truth == k)).sum()
                for k in classes]
        shares = [(truth == k).mean() for k in classes]
        assert matrix.mean_accuracy() == pytest.approx(np.mean(right), abs=1e-12)
        assert matrix.frequency_weighted_iou() == pytest.approx(np.dot(shares, ious), abs=1e-12)
        assert np.isnan(matrix.class_accuracy()[4])
    assert np.isnan(ConfusionMatrix(3).mean_accuracy())
    assert np.isnan(ConfusionMatrix(3).frequency_weighted_iou())


def test_void_truth_is_left_out():
    assert np.array_equal(count([0, 1, 2], [0, VOID, VOID]).counts, np.diag([1, 0, 0]))


def test_rows_are_the_truth():
    assert count([2], [0]).counts[0, 2] == 1


def test_nothing_counted_gives_nan_and_no_error():
    assert np.isnan(ConfusionMatrix(3).mean_iou()) and ConfusionMatrix(3).accuracy() == 0


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match='labels must be below 3 or 255 for void, got 3'):
        count([0], [3])
    with pytest.raises(ValueError, match='got 7; does the label set match'):
        count([7], [0])


def test_arrays_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r'prediction \(2,\) and truth \(1,\) must have the same'):
        count([0, 0], [0])


class Green:
    """Labels 1 where green is above its mean, half of the pixels refined."""

    optional, needs_truth = (), False

    def limits(self):
        return {}

    def __call__(self, images, request, clock):
        with clock('dense'):
            labels = (images[:, 1] > 0).to(torch.uint8)
        refined = torch.zeros_like(labels, dtype=torch.bool)
        refined[:, ::2] = True
        return MethodOutput(labels, torch.zeros_like(images[:, 0]), refined)


def test_evaluate_scores_all_frames_in_one_matrix():
    labels = LabelSet('two', ('a', 'b'), ((0, 0, 0),) * 2)
    segment = Segmenter(Green(), labels, (100,) * 3, (1,) * 3)
    dark, bright = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    zeros, ones = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    report = evaluate(segment, [(dark, zeros), (bright, ones), (bright, zeros)])
    assert report.frames == 3 and report.density == 0.5
    assert report.iou == {'a': 0.5, 'b': 0.5} and report.accuracy == pytest.approx(2 / 3)
    assert {'dense', 'total'} <= report.milliseconds.keys()


def test_evaluate_without_frames_says_so():
    with pytest.raises(ValueError, match='no frames to evaluate'):
        evaluate(Segmenter(Green(), LabelSet('one', ('a',), ((0, 0, 0),)), (0,) * 3, (1,) * 3), [])


def test_truth_that_is_numbered_in_another_way_is_seen():
    truth = np.array([0] * 40 + [1] * 30 + [2] * 30)
    other = np.choose(truth, [1, 2, 0])
    assert count(other, truth).other_order() == {0: 1, 1: 2, 2: 0}
    assert count(truth, truth).other_order() == {} == ConfusionMatrix(3).other_order()
    weak = np.where(np.arange(100) % 2, truth, 0)  # right in half of the pixels
    assert count(weak, truth).other_order() == {}
    for label in range(3):  # says one class everywhere
        assert count(np.full(100, label), truth).other_order() == {}
    noise = np.random.default_rng(0).integers(0, 3, 100)
    assert count(noise, truth).other_order() == {}


def swapping_evaluation():
    labels = LabelSet('two', ('a', 'b'), ((0, 0, 0),) * 2)
    segment = Segmenter(Green(), labels, (100,) * 3, (1,) * 3)
    dark, bright = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    return segment, [(dark, np.ones((4, 4), np.uint8)), (bright, np.zeros((4, 4), np.uint8))]


def test_frames_of_another_label_set_are_warned_of(caplog):
    segment, frames = swapping_evaluation()
    evaluate(segment, frames)
    assert 'other classes than the model, or another order of ids: it sees ' in caplog.text
    assert 'a as b' in caplog.text and 'b as a' in caplog.text


def test_frames_that_say_they_have_other_classes_are_refused():
    class Named(list):
        classes = ('b', 'a')

    segment, frames = swapping_evaluation()
    with pytest.raises(ValueError, match='the frames have the classes b, a, the model has a, b'):
        evaluate(segment, Named(frames))
