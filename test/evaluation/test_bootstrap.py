# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Intervals cover the truth as often as they say, and know what frames share."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.evaluation.bootstrap import Bootstrap, interval, weights_of
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix

RIGHT = 0.8


def matrix_of(random: np.random.Generator, share: float = RIGHT) -> ConfusionMatrix:
    """Return a frame in which a share of the pixels, itself random, is right."""
    matrix = ConfusionMatrix(2)
    hits = int(100 * np.clip(random.normal(share, 0.1), 0, 1))
    matrix.counts[:] = [[hits, 100 - hits], [0, 0]]
    return matrix


def bootstrap_of(frames: dict[str, ConfusionMatrix]) -> Bootstrap:
    counted = Bootstrap(2)
    for name, matrix in frames.items():
        counted.add(weights_of(name, 0), matrix.counts, matrix.missed)
    return counted


def test_weights_are_those_of_a_poisson_distribution_and_belong_to_the_frame():
    weights = np.concatenate([weights_of(f'frame {number}', 0) for number in range(500)])
    assert weights.mean() == pytest.approx(1, abs=0.02)
    assert weights.var() == pytest.approx(1, abs=0.03)
    assert (weights_of('a', 0) == weights_of('a', 0)).all()
    assert abs(np.corrcoef(weights_of('a', 0), weights_of('a', 1))[0, 1]) < 0.3


def test_nineteen_of_twenty_intervals_hold_the_true_accuracy():
    hits = 0
    for trial in range(200):
        random = np.random.default_rng(trial)
        frames = {f'{trial} {number}': matrix_of(random) for number in range(60)}
        low, high = interval(bootstrap_of(frames).accuracy())
        hits += low <= RIGHT - 0.005 <= high  # int() cuts half a hundredth
    assert 0.88 <= hits / 200 <= 0.99


def test_the_difference_of_two_models_on_the_same_frames_is_sharper_than_each():
    random = np.random.default_rng(1)
    one = {f'frame {number}': matrix_of(random) for number in range(40)}
    other = {}
    for name, matrix in one.items():
        other[name] = ConfusionMatrix(2)
        other[name].counts[0] = matrix.counts[0] + [-2, 2]  # two pixels worse in every frame
    first, second = bootstrap_of(one), bootstrap_of(other)
    low, high = interval(first.accuracy() - second.accuracy())
    assert low == pytest.approx(0.02) == high
    low, high = interval(first.accuracy())
    assert high - low > 0.02
