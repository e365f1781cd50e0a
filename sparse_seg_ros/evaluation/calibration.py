# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fit a segmenter to frames without training: entropy threshold, temperature, uncertain limit.

SparseRefine, appendix A2: the threshold is read from the curve of recall over density. The
temperature (Guo et al. 2017) makes the probabilities of the refined result true. The uncertain
limit is a fraction of uncertain pixels that hardly any of these frames reaches.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.data.frame import FrameSequence, as_frames
from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.evaluation import similarity
from sparse_seg_ros.evaluation.loop import read_labelled
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.evaluation.scores import warn_of_other_order
from sparse_seg_ros.evaluation.uncertainty import (
    Point,
    UncertaintyCurve,
    calibration_error,
    fit_temperature,
)
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.methods.reading import enlarge, entropy_map
from sparse_seg_ros.segmenter import Segmenter

LOG = logging.getLogger(__name__)
SAMPLES = 4096  # pixels per frame for the temperature
TIMED_FRAMES = 5
USUAL_PERCENTILE = 99.5  # of the frames; an odd one among many does not set the limit
LEAST_LIMIT = 0.001  # of a model that is sure of all: fractions below are chance


class Goal(NamedTuple):
    """What the threshold is chosen for: 'recall', 'density', 'milliseconds' or 'alpha'."""

    kind: str = 'recall'
    value: float = 0.8


@dataclass(frozen=True)
class UncertaintyReport:
    """
    How far uncertainty can be trusted on a set of frames.

    selection: threshold, density, recall and precision of what would be refined, None where
    nothing can be; selection_auroc: of what alpha is compared with against the errors of the dense
    stage; auroc: of the final uncertainty against the final errors; errors of calibration before
    and after dividing by the temperature.
    """

    frames: int
    selection: Point | None
    selection_auroc: float
    auroc: float
    calibration_error_before: float
    calibration_error: float


def calibrate(segment: Segmenter, frames: FrameSequence, recall: float = 0.8) -> Segmenter:
    """Return the segmenter with thresholds and temperature from labelled frames."""
    if similarity.can_fit(segment):
        segment, _ = similarity.fit(segment, frames)
    if segment.alpha is not None:
        segment, _ = choose_threshold(segment, selection_curve(segment, frames),
                                      Goal('recall', recall), frames)
    segment = segment.with_temperature(best_temperature(segment, frames))
    return segment.with_uncertain_limit(uncertain_limit(segment, frames))


def choose_threshold(segment: Segmenter, curve: UncertaintyCurve, goal: Goal,
                     frames: FrameSequence) -> tuple[Segmenter, Point]:
    """Return the segmenter with the threshold that meets the goal, and what that selects."""
    if goal.kind in ('recall', 'density') and not 0 < goal.value <= 1:
        raise ValueError(f'{goal.kind} must be a fraction above 0 and at most 1, got {goal.value}')
    if goal.kind != 'milliseconds':
        point = {'recall': curve.for_recall, 'density': curve.for_density,
                 'alpha': curve.at}[goal.kind](goal.value)
        alpha = goal.value if goal.kind == 'alpha' else point.alpha
        return segment.with_limits(alpha=alpha), point
    points = curve.points()
    low, high = 0, len(points) - 1  # points[high] is known to be fast enough
    if measure_milliseconds(segment, points[high], frames) > goal.value:
        raise ValueError(f'without any refinement a frame takes longer than {goal.value} ms here; '
                         'use a smaller network or scale')
    while high - low > len(points) // 100:
        middle = (low + high) // 2
        fits = measure_milliseconds(segment, points[middle], frames) <= goal.value
        low, high = (low, middle) if fits else (middle, high)
    return segment.with_limits(alpha=points[high].alpha), points[high]


def measure_milliseconds(segment: Segmenter, point: Point, frames: FrameSequence) -> float:
    """Median time of a frame at a threshold, over a few frames."""
    indices = np.linspace(0, len(frames) - 1, TIMED_FRAMES).round().astype(int)
    return float(np.median([
        segment(frame.image(), alpha=point.alpha).milliseconds['total']
        for frame in as_frames(frames[index] for index in indices)]))


def selection_curve(segment: Segmenter, frames: FrameSequence) -> UncertaintyCurve:
    """Measure what alpha is compared with against errors of the dense stage, at full size."""
    check_classes(frames, segment.labels.names, 'the model')
    curve, matrix = empty_curve(segment), ConfusionMatrix(len(segment.labels))
    for image, label in read_labelled(frames, 'errors of the dense stage'):
        logits = segment.coarse_logits(image)
        add_errors(curve, logits, label, own_scores(segment, image, label))
        matrix.add(labels_of(logits, label.shape), label)
    warn_of_other_order(matrix, segment.labels.names)
    return curve


def empty_curve(segment: Segmenter) -> UncertaintyCurve:
    """Return a curve over the range of alpha."""
    limit = segment.method.limits().get('alpha')
    return UncertaintyCurve(len(segment.labels), limit and limit.most)


def own_scores(segment: Segmenter, image: np.ndarray, label: np.ndarray) -> Tensor | None:
    """Return the (1, h, w) scores of a selector other than the entropy; None for the entropy."""
    if segment.method.selector == 'entropy':
        return None
    request = segment.make_request(truth=label)
    return segment.read(image, partial(segment.method.scores, request=request))


def measure_uncertainty(segment: Segmenter, frames: FrameSequence) -> UncertaintyReport:
    """Measure selection, uncertainty and calibration of a segmenter as it is set."""
    coarse, final = empty_curve(segment), UncertaintyCurve(len(segment.labels))
    samples = Samples()
    for image, label in read_labelled(frames, 'errors of both stages'):
        add_errors(coarse, segment.coarse_logits(image), label, own_scores(segment, image, label))
        logits = segment.full_logits(image, label)
        add_errors(final, logits / segment.temperature, label)
        samples.add(logits, label)
    if coarse.auroc() < 0.5:
        LOG.warning('uncertainty tells the errors of the dense stage worse than chance, AUROC '
                    '%.3f; do the frames have the classes of the model?', coarse.auroc())
    return UncertaintyReport(
        len(frames), coarse.at(segment.alpha) if segment.alpha is not None else None,
                 coarse.auroc(), final.auroc(), calibration_error(*samples.joined()),
                 calibration_error(*samples.joined(), segment.temperature))


def best_temperature(segment: Segmenter, frames: FrameSequence) -> float:
    """Fit the temperature of the final probabilities."""
    samples = Samples()
    for image, label in read_labelled(frames, 'final probabilities'):
        samples.add(segment.full_logits(image, label), label)
    return fit_temperature(*samples.joined())


def uncertain_limit(segment: Segmenter, frames: FrameSequence) -> float:
    """
    Return the uncertain fraction above which frames are not such as these.

    Frames count as refined and as not refined, so that the limit holds under any budget. It needs
    no margin: the node compares a mean over frames with it, and frames vary more than their mean.
    """
    budgets = (None, 0.0) if 'budget' in segment.method.limits() else (None,)
    usual = [max(segment(frame.image(), budget=budget).uncertain for budget in budgets)
             for frame in as_frames(frames)]
    return max(float(np.percentile(usual, USUAL_PERCENTILE)), LEAST_LIMIT)


class Samples:
    """Final logits and true ids of random labelled pixels, the same in every run."""

    def __init__(self):
        self.random = np.random.default_rng(0)
        self.logits, self.ids = [], []

    def add(self, logits: Tensor, label: np.ndarray) -> None:
        """Sample a frame: (1, C, H, W) logits before temperature, (H, W) ids."""
        known = np.flatnonzero(label != VOID)
        if len(known):
            chosen = self.random.choice(known, SAMPLES)
            self.logits.append(logits.cpu()[0].flatten(1)[:, torch.from_numpy(chosen)].t())
            self.ids.append(torch.from_numpy(label.ravel()[chosen]))

    def joined(self) -> tuple[Tensor, Tensor]:
        """Return (N, C) logits and (N,) ids of all frames."""
        if not self.ids:
            raise ValueError('no labelled pixels to calibrate on')
        return torch.cat(self.logits), torch.cat(self.ids)


def add_errors(curve: UncertaintyCurve, logits: Tensor, label: np.ndarray,
               scores: Tensor | None = None) -> None:
    """Count the labelled pixels of one frame, (1, C, h, w) logits at any size, by entropy."""
    scores = entropy_map(logits) if scores is None else scores  # (1, h, w)
    nats = enlarge(scores, label.shape)[0].cpu().numpy()
    predicted = labels_of(logits, label.shape)
    known = label != VOID
    if known.any() and label[known].max() >= logits.shape[1]:
        raise ValueError(f'labels must be below {logits.shape[1]} or {VOID} for void, got '
                         f'{label[known].max()}; does the label set match?')
    curve.add(nats[known], (predicted != label)[known])


def labels_of(logits: Tensor, size_hw: tuple[int, ...]) -> np.ndarray:
    """(1, C, h, w) logits -> (H, W) uint8 labels, enlarged by nearest neighbour."""
    return enlarge(logits.argmax(1).to(torch.uint8), size_hw)[0].cpu().numpy()
