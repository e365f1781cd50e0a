# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well uncertainty finds errors, and how well probabilities are calibrated: from histograms.

Uncertainty and confidence are counted as round(65535 x). The figures are exact for these codes.
An error is a labelled pixel whose predicted id is not the true one.
"""

from __future__ import annotations

import math

import numpy as np

from sparse_seg_ros.evaluation.counting import LEVELS, Sums, codes_of, count_codes

BINS = 15  # 15 * 4369 = 65535: each bin is a whole number of codes
FIXED_POINT = 1 << 40  # sums of fractions are integers, so that they add up in any order


class CodeCounts(Sums):
    """Right and wrong pixels by the code of a fraction, (65536,) each."""

    def __init__(self):
        self.right, self.wrong = np.zeros((2, LEVELS), np.int64)

    def add(self, fractions: np.ndarray, is_labelled: np.ndarray, is_wrong: np.ndarray) -> None:
        """Count (H, W) float32 in [0, 1], and (H, W) bool each."""
        codes = codes_of(fractions)
        wrong = count_codes(codes, is_wrong.view(np.uint8))
        mask = None if is_labelled.all() else is_labelled.view(np.uint8)  # faster without one
        self.right += count_codes(codes, mask) - wrong
        self.wrong += wrong


class ErrorDetection(CodeCounts):
    """Errors by their uncertainty."""

    def mean(self) -> float:
        """Mean uncertainty of labelled pixels, in [0, 1]; nan without any."""
        pixels = self.right + self.wrong
        total = pixels.sum() * (LEVELS - 1)
        return float(pixels @ np.arange(LEVELS) / total) if total else math.nan

    def auroc(self) -> float:
        """Probability that an error is more uncertain than a right pixel; nan without both."""
        right, wrong = self.right.astype(float), self.wrong.astype(float)
        below = right.cumsum() - right
        pairs = right.sum() * wrong.sum()
        return float((wrong * (below + right / 2)).sum() / pairs) if pairs else math.nan

    def aupr(self) -> float:
        """Average precision, where errors are the positives; nan without errors."""
        above, wrong = above_of(self.right + self.wrong), above_of(self.wrong)
        if not wrong[-1]:
            return math.nan
        precision = wrong / np.maximum(above, 1)
        return float((np.diff(wrong, prepend=0) * precision).sum() / wrong[-1])

    def aurc(self) -> float:
        """Area under the risk-coverage steps, the surest pixels first; nan without pixels."""
        pixels = self.right + self.wrong
        if not pixels.any():
            return math.nan
        risk = self.wrong.cumsum() / np.maximum(pixels.cumsum(), 1)
        return float((pixels * risk).sum() / pixels.sum())

    def density_recall(self, points: int) -> list[list[float]]:
        """Return [fraction of pixels, fraction of errors in it], the least sure pixels first."""
        above, wrong = above_of(self.right + self.wrong), above_of(self.wrong)
        if not wrong[-1]:
            return []
        return thinned(above / above[-1], wrong / wrong[-1], points)

    def risk_coverage(self, points: int) -> list[list[float]]:
        """Return [fraction of pixels, fraction of errors among them], the surest pixels first."""
        pixels = (self.right + self.wrong).cumsum()
        if not pixels[-1]:
            return []
        first = int(np.flatnonzero(pixels)[0])
        pixels, wrong = pixels[first:], self.wrong.cumsum()[first:]
        return thinned(pixels / pixels[-1], wrong / pixels, points)


class Calibration(CodeCounts):
    """Errors by the probability of the label."""

    def bins(self) -> np.ndarray:
        """Return mean confidence, accuracy and pixels of 15 equal ranges, (15, 3); nan if none."""
        codes = np.arange(LEVELS)
        place, pixels = np.minimum(codes * BINS // (LEVELS - 1), BINS - 1), self.right + self.wrong
        total, right, confident = (np.bincount(place, values, BINS) for values in (
            pixels, self.right, pixels * (codes / (LEVELS - 1))))
        counts = np.maximum(total, 1)
        return np.where(total[:, None] > 0, np.stack(
            [confident / counts, right / counts, total], 1), (math.nan, math.nan, 0))

    def ece(self) -> float:
        """Expected calibration error, in [0, 1]; nan without pixels."""
        confidence, accuracy, pixels = self.bins().T
        gaps = np.nan_to_num(np.abs(confidence - accuracy)) * pixels
        return float(gaps.sum() / pixels.sum()) if pixels.any() else math.nan


class ProperScores(Sums):
    """Sums of the Brier score and of the negative log-likelihood in nats, in fixed point."""

    def __init__(self):
        self.brier_sum, self.nll_sum, self.pixels = 0, 0, 0

    def add(self, brier: np.ndarray, nll: np.ndarray) -> None:
        """Count two (H', W') float32, nan where the truth is void."""
        self.brier_sum += round(float(np.nansum(brier, dtype=np.float64)) * FIXED_POINT)
        self.nll_sum += round(float(np.nansum(nll, dtype=np.float64)) * FIXED_POINT)
        self.pixels += int(np.count_nonzero(~np.isnan(nll)))

    def brier(self) -> float:
        """Mean over pixels of the sum of squares over classes, in [0, 2]; nan without pixels."""
        return self.brier_sum / FIXED_POINT / self.pixels if self.pixels else math.nan

    def nll(self) -> float:
        """Mean negative log-likelihood of the truth in nats; nan without pixels."""
        return self.nll_sum / FIXED_POINT / self.pixels if self.pixels else math.nan


class Selection(Sums):
    """What the sparse stage looked at again, against the errors that the result still has."""

    def __init__(self):
        self.pixels, self.refined, self.errors, self.refined_errors = 0, 0, 0, 0

    def add(self, refined: np.ndarray, is_labelled: np.ndarray, is_wrong: np.ndarray) -> None:
        """Count (H, W) bool each."""
        self.pixels += int(np.count_nonzero(is_labelled))
        self.refined += int(np.count_nonzero(refined & is_labelled))
        self.errors += int(np.count_nonzero(is_wrong))
        self.refined_errors += int(np.count_nonzero(refined & is_wrong))

    def figures(self) -> dict[str, float | None]:
        """Return recall and precision of errors, and density; None where nothing can tell."""
        pairs = {'recall': (self.refined_errors, self.errors),
                 'precision': (self.refined_errors, self.refined),
                 'density': (self.refined, self.pixels)}
        return {name: part / whole if whole else None for name, (part, whole) in pairs.items()}


def above_of(counts: np.ndarray) -> np.ndarray:
    """(65536,) -> (65536,) sums from the highest code down."""
    return counts[::-1].cumsum()


def thinned(across: np.ndarray, up: np.ndarray, points: int) -> list[list[float]]:
    """(N,) rising values, (N,) -> pairs of them, about so many, evenly spread across."""
    places = np.searchsorted(across, np.linspace(0, 1, points))
    kept = np.unique(np.minimum(places, len(across) - 1))
    return np.stack([across[kept], up[kept]], 1).tolist()
