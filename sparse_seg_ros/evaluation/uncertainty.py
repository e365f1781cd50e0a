# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well uncertainty finds errors: recall and density of a threshold, AUROC, calibration error.

SparseRefine, Figure 3 and appendix A2; Guo et al. 2017 for temperature and calibration error.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 2000
LOWEST_NATS = 1e-4
CONFIDENCE_BINS = 15
TEMPERATURES = (0.1, 10.0)  # range searched
SEARCH_STEPS = 40


@dataclass(frozen=True)
class Point:
    """A threshold and what it selects: fractions of pixels, of errors, and of errors in it."""

    alpha: float
    density: float
    recall: float
    precision: float


class UncertaintyCurve:
    """
    Labelled pixels and errors by their entropy, in bins of half a percent.

    A bin holds entropies above its lower edge up to its upper one, as a strict threshold has it.
    """

    def __init__(self, num_classes: int, largest: float | None = None):
        """largest: end of the range, where what is counted is a selector's score, not entropy."""
        largest = math.log(num_classes) if largest is None else largest
        self.edges = np.concatenate([[0.0], np.geomspace(LOWEST_NATS, largest, BINS)])
        self.pixels, self.errors = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)

    def add(self, nats: np.ndarray, is_wrong: np.ndarray) -> None:
        """Count (N,) float entropies and (N,) bool of the same pixels."""
        bins = np.searchsorted(self.edges[1:-1], nats)
        self.pixels += np.bincount(bins, minlength=BINS)
        self.errors += np.bincount(bins[is_wrong], minlength=BINS)

    def __add__(self, other: UncertaintyCurve) -> UncertaintyCurve:
        """Return the counts of both, which must have the same range."""
        if not np.array_equal(self.edges, other.edges):
            raise ValueError(f'curves must have the same range to be added, got ends of '
                             f'{self.edges[-1]:.3g} and {other.edges[-1]:.3g}')
        both = copy(self)
        both.pixels, both.errors = self.pixels + other.pixels, self.errors + other.errors
        return both

    def points(self) -> list[Point]:
        """Return what each edge selects as a threshold, from 0 up."""
        if not self.pixels.any():
            raise ValueError('no labelled pixels to calibrate on')
        above, wrong = (np.append(counts[::-1].cumsum()[::-1], 0)
                        for counts in (self.pixels, self.errors))
        density, recall = above / above[0], wrong / max(wrong[0], 1)
        precision = wrong / np.maximum(above, 1)
        return [Point(*map(float, values))
                for values in zip(self.edges, density, recall, precision)]

    def at(self, alpha: float) -> Point:
        """Return what a threshold selects, to the bin."""
        return self.points()[int(np.searchsorted(self.edges[:-1], alpha))]

    def for_recall(self, recall: float) -> Point:
        """Return the highest threshold that still finds this fraction of the errors."""
        return [point for point in self.points() if point.recall >= recall or
                point.alpha == 0][-1]

    def for_density(self, density: float) -> Point:
        """Return the lowest threshold that selects no more than this fraction of the pixels."""
        return next(point for point in self.points() if point.density <= density)

    def auroc(self) -> float:
        """Probability that an error is more uncertain than a right pixel; nan without errors."""
        right = self.pixels - self.errors
        below = right.cumsum() - right
        wins = (self.errors * (below + right / 2)).sum()
        pairs = int(right.sum()) * int(self.errors.sum())
        return float(wins / pairs) if pairs else math.nan


def calibration_error(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> float:
    """(N, C) logits, (N,) true ids -> expected calibration error of the likeliest class."""
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    bins = (confidence * CONFIDENCE_BINS).long().clamp(max=CONFIDENCE_BINS - 1)
    gap = (predicted == labels).float() - confidence
    per_bin = torch.zeros(CONFIDENCE_BINS, device=logits.device).index_add(0, bins, gap)
    return float(per_bin.abs().sum() / len(labels))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """(N, C) logits, (N,) true ids -> temperature of least cross entropy, by golden section."""
    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / math.exp(log_temperature), labels.long()))
    low, high = map(math.log, TEMPERATURES)
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(SEARCH_STEPS):  # cross entropy is unimodal in the temperature
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)
