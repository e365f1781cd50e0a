# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation keeps of its frames: scores of all, a record of each, pictures of a few."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.flicker import Flicker
from sparse_seg_ros.evaluation.loop import OnInvalid
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.labels import VOID, LabelSet
from sparse_seg_ros.prediction import Prediction

WORST, BEST = 6, 2  # frames whose pictures are kept
STRIP_WIDTH = 480  # pixels of a picture
RECORDED = ('miou', 'accuracy', 'boundary_f1', 'ece', 'nll', 'auroc', 'density')
RIGHT, WRONG = (40, 40, 40), (230, 60, 60)
Write = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class FrameStrip:
    """
    Pictures of a frame, (h, w, 3) uint8 RGB and at most STRIP_WIDTH wide.

    truth and errors are None for a frame without labels, refined for a model that refines nothing,
    uncertainty for predictions that do not know theirs.
    """

    title: str
    miou: float | None
    image: np.ndarray
    prediction: np.ndarray
    uncertainty: np.ndarray | None
    truth: np.ndarray | None = None
    errors: np.ndarray | None = None
    refined: np.ndarray | None = None


class Recorder:
    """
    A sink of the loop: `recorder(frame, image, prediction)`, and its `on_invalid`.

    scores, flicker: of all frames. records: of each frame, as plain JSON, in their order; write:
    gets each as it comes. strips: of the worst and the best frames.
    """

    def __init__(self, labels: LabelSet, write: Write = lambda record: None,
                 keeps_strips: bool = False, has_uncertainty: bool = True):
        self.labels, self.write, self.keeps_strips = labels, write, keeps_strips
        self.has_uncertainty = has_uncertainty
        self.scores, self.flicker = self.empty_scores(), Flicker(len(labels))
        self.records: list[dict[str, Any]] = []
        self.invalid = 0
        self.worst: list[tuple[float, int, FrameStrip]] = []
        self.best: list[tuple[float, int, FrameStrip]] = []

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Score a frame; ValueError where its labels do not fit the prediction."""
        of_frame = self.empty_scores()
        of_frame(frame, image, seen)
        self.scores.absorb(of_frame)
        self.flicker(frame, image, seen)
        figures = of_frame.summary()
        self.add({**about(frame), 'sha256': digest(image, frame.label()),
                  **{name: figures[name] for name in RECORDED},
                  'class': {name: row['iou'] for name, row in figures['class'].items()
                            if row['iou'] is not None},
                  'milliseconds': {stage: round(spent, 3)
                                   for stage, spent in seen.milliseconds.items()}})
        if self.keeps_strips and figures['miou'] is not None:
            self.keep(frame, image, seen, figures['miou'])

    def or_else(self, on_invalid: OnInvalid, frame: Frame, image: np.ndarray, seen: Prediction
                ) -> None:
        """Score a frame, as a call does; on_invalid gets one whose labels do not fit."""
        try:
            self(frame, image, seen)
        except ValueError as error:
            on_invalid(frame, 'label', error)

    def empty_scores(self) -> Scores:
        """Return scores of no frames."""
        return Scores(self.labels.names, has_uncertainty=self.has_uncertainty)

    def count_invalid(self, frame: Frame, part: str, error: Exception) -> None:
        """Record a frame whose 'image' or 'label' cannot be used."""
        self.invalid += 1
        self.add({**about(frame), 'invalid': part, 'error': str(error)})

    def add(self, record: dict[str, Any]) -> None:
        """Keep a record, and write it."""
        self.records.append(record)
        self.write(record)

    def keep(self, frame: Frame, image: np.ndarray, seen: Prediction, miou: float) -> None:
        """Keep the pictures of a frame while it is among the worst or the best."""
        strip = None
        for heap, key, most in ((self.worst, -miou, WORST), (self.best, miou, BEST)):
            if len(heap) < most or key > heap[0][0]:
                strip = strip or self.draw(frame, image, seen, miou)
                push = heapq.heappush if len(heap) < most else heapq.heapreplace
                push(heap, (key, -len(self.records), strip))

    def draw(self, frame: Frame, image: np.ndarray, seen: Prediction, miou: float) -> FrameStrip:
        """Draw the pictures of a frame, without an uncertainty that nobody knows."""
        strip = draw_strip(frame, image, seen, self.labels, miou)
        return strip if self.has_uncertainty else replace(strip, uncertainty=None)

    @property
    def strips(self) -> dict[str, list[FrameStrip]]:
        """'worst' and 'best' -> their frames, the most extreme first; none is in both."""
        worst, best = ([strip for *_, strip in sorted(heap, key=lambda item: item[:2],
                                                      reverse=True)]
                       for heap in (self.worst, self.best))
        return {'worst': worst, 'best': [strip for strip in best
                                         if not any(strip is other for other in worst)]}

    def summary(self) -> dict[str, Any]:
        """Return the figures of all frames, with flicker, and the hash of the frames."""
        steady = {} if not self.flicker.pairs else {
            'flicker': self.flicker.fraction(),
            'temporal_consistency': self.flicker.consistency()}
        figures = {'flicker': None, 'temporal_consistency': None, **self.scores.summary(),
                   **steady, 'invalid': self.invalid, 'data_sha256': self.data_hash()}
        for name, value in zip(self.labels.names, self.flicker.of_classes()):
            figures['class'][name]['flicker'] = None if np.isnan(value) else float(value)
        return figures

    def unusable(self) -> str | None:
        """Return how many frames could not be used, and why the first; None for none."""
        first = next((f"; the first: {record['frame']}: {record['error']}"
                      for record in self.records if 'error' in record), '')
        return f'{self.invalid} frames could not be used{first}' if self.invalid else None

    def data_hash(self) -> str:
        """Return one sha256 of all frames, in whatever order they came."""
        digests = sorted(record.get('sha256', '') for record in self.records)
        return hashlib.sha256(''.join(digests).encode()).hexdigest()


def about(frame: Frame) -> dict[str, Any]:
    """Return what tells a frame from the others."""
    return {'frame': frame.source, 'stamp': frame.stamp}


def digest(image: np.ndarray, label: np.ndarray | None) -> str:
    """Return the sha256 of the pixels of an image and its label."""
    hashed = hashlib.sha256(np.ascontiguousarray(image).data)
    if label is not None:
        hashed.update(np.ascontiguousarray(label).data)
    return hashed.hexdigest()


def draw_strip(frame: Frame, image: np.ndarray, seen: Prediction, labels: LabelSet, miou: float
               ) -> FrameStrip:
    """Draw the pictures of a frame."""
    truth = frame.label()
    is_wrong = None if truth is None else (truth != VOID) & (truth != seen.labels)
    return FrameStrip(
        frame.source, miou, small(image),
        small(pictures.overlay(image, seen.labels, labels)),
        small(pictures.heat(seen.uncertainty)),
        None if truth is None else small(pictures.color(truth, labels)),
        None if is_wrong is None else small(np.where(is_wrong[..., None], WRONG, RIGHT)),
        None if seen.refined is None else small(np.where(seen.refined[..., None], 255, 0)))


def small(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) or (H, W, 1) -> (h, w, 3) uint8, at most STRIP_WIDTH wide."""
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3)).astype(np.uint8)
    height, width = picture.shape[:2]
    if width <= STRIP_WIDTH:
        return np.ascontiguousarray(picture)
    size = STRIP_WIDTH, max(1, round(height * STRIP_WIDTH / width))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
