# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The threshold of ALGM for a network and a set of images, and what each threshold costs.

ALGM, section 3.3: mean + standard deviation of the cosine similarities of all pairs of patches
after the attention of every layer, over all images, without merging. The class token is left out.
ALGM*, section 5.4: what merges most without a loss of mIoU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.data.frame import FrameSequence
from sparse_seg_ros.evaluation.loop import read_frames, segment_frames
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.segmenter import Segmenter


class SimilarityStatistics:
    """Mean and standard deviation of cosine similarities, without keeping a pair."""

    def __init__(self):
        self.pairs, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        """
        Count all ordered pairs among (N, d) values.

        With unit rows x: the sum of their similarities is |sum x|^2 - N, that of the squares
        |X^T X|^2 - N.
        """
        unit = F.normalize(values.double(), dim=1)
        count = len(unit)
        self.pairs += count * (count - 1)
        self.total += float(unit.sum(0).square().sum()) - count
        self.squares += float((unit.mT @ unit).square().sum()) - count

    @property
    def mean(self) -> float:
        """Mean of all similarities so far."""
        if not self.pairs:
            raise ValueError('no pairs of tokens to calibrate on; give at least one image')
        return self.total / self.pairs

    @property
    def deviation(self) -> float:
        """Standard deviation of all similarities so far."""
        return math.sqrt(max(0.0, self.squares / self.pairs - self.mean ** 2))


@dataclass(frozen=True)
class Tradeoff:
    """What a threshold does: fraction of tokens kept to the end; None: nothing merges."""

    threshold: float | None
    mean_iou: float
    milliseconds: float
    kept: float


@dataclass(frozen=True)
class Fit:
    """
    What was found out for the threshold of a network.

    automatic: the paper's, from mean and deviation of the similarities; points: what thresholds
    do, if they were tried, and chosen, the one of them that is set now.
    """

    mean: float
    deviation: float
    automatic: float
    points: tuple[Tradeoff, ...] = ()
    chosen: Tradeoff | None = None


def can_fit(segment: Segmenter) -> bool:
    """Return whether a segmenter merges tokens by a threshold."""
    merging = getattr(segment.method, 'merging', None)
    return merging is not None and merging.has_threshold


def fit(segment: Segmenter, frames: FrameSequence, thresholds: Sequence[float] = ()
        ) -> tuple[Segmenter, Fit]:
    """
    Return a segmenter that merges tokens, with a threshold from labelled frames, and what it does.

    It is the automatic one; or, with others to try, the one that merges most without a loss.
    """
    statistics = measure_similarity(segment, frames)
    automatic = min(1.0, statistics.mean + statistics.deviation)
    result = Fit(statistics.mean, statistics.deviation, automatic)
    if not thresholds:
        return with_threshold(segment, automatic), result
    points = sweep(segment, frames, sorted({*thresholds, automatic}))
    chosen = fastest_as_good(points)
    return with_threshold(segment, chosen.threshold), replace(
        result, points=tuple(points), chosen=chosen)


def measure_similarity(segment: Segmenter, frames: FrameSequence) -> SimilarityStatistics:
    """Measure the tokens of a segmenter that merges, while it does not."""
    statistics, segment = SimilarityStatistics(), with_threshold(segment, None)
    encoder = segment.method.network.encoder

    def look(tokens: Tokens, _: Tensor) -> Tokens:
        for values in tokens.values[:, 1:]:
            statistics.add(values)
        return tokens

    encoder.merges = dict.fromkeys(range(1, 1 + len(encoder.blocks)), look)
    for _, image, _ in read_frames(frames, 'similarities of tokens'):
        segment.coarse_logits(image)
    return statistics


def with_threshold(segment: Segmenter, threshold: float | None) -> Segmenter:
    """Return a segmenter whose tokens merge from a similarity on; None: not at all."""
    method = segment.method
    if not isinstance(method, Algm):
        raise ValueError('a threshold of similarity needs a segmenter whose tokens merge, got one '
                         f'of a {type(method).__name__}; load it with method algm')
    if threshold is None:
        return segment.with_method(method.with_merging(None))
    return segment.with_method(method.with_merging(
        replace(method.merging or Merging(), threshold=threshold)))


def sweep(segment: Segmenter, frames: FrameSequence, thresholds: Sequence[float]
          ) -> list[Tradeoff]:
    """Measure a segmenter without merging, first, and with each threshold."""
    return [measure(segment, frames, threshold) for threshold in (None, *thresholds)]


def measure(segment: Segmenter, frames: FrameSequence, threshold: float | None) -> Tradeoff:
    """Segment all frames with one threshold."""
    segment = with_threshold(segment, threshold)
    scores, kept = Scores(segment.labels.names, counts_small=False), []
    title = 'without merging' if threshold is None else f'threshold {threshold:.3f}'
    segment_frames(segment, frames, [scores, lambda frame, image, prediction: kept.append(
        prediction.work.kept())], title)
    return Tradeoff(threshold, scores.matrix.mean_iou(), scores.percentiles(50)['total']['p50'],
                    float(np.mean(kept)))


def fastest_as_good(points: Sequence[Tradeoff]) -> Tradeoff:
    """Return what keeps fewest tokens of those at least as good as the first, without merging."""
    baseline, *merged = points
    good = [point for point in merged if point.mean_iou >= baseline.mean_iou]
    if not good:
        best = max(merged, key=lambda point: point.mean_iou)
        raise ValueError(f'no threshold keeps the mIoU of {100 * baseline.mean_iou:.2f}; the best '
                         f'is {best.threshold:.3f} with {100 * best.mean_iou:.2f}; calibrate '
                         'without --keep-miou for the threshold of the paper')
    return min(good, key=lambda point: point.kept)
