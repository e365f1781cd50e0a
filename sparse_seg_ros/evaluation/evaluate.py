# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score a segmenter on labelled frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.segmenter import Segmenter


@dataclass(frozen=True)
class Report:
    """
    Scores over a set of frames.

    iou: per class name, in [0, 1]; density: mean fraction of refined pixels; milliseconds: median
    per stage.
    """

    frames: int
    mean_iou: float
    iou: dict[str, float]
    accuracy: float
    density: float
    milliseconds: dict[str, float]


def evaluate(segment: Segmenter, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Report:
    """Segment every (image, label) pair -> Report."""
    matrix = ConfusionMatrix(len(segment.labels))
    densities, times = [], []
    for image, label in tqdm(frames, 'evaluating', leave=False):
        seen = segment(image)
        matrix.add(seen.labels, label)
        densities.append(seen.density)
        times.append(seen.milliseconds)
    if not times:
        raise ValueError('no frames to evaluate')
    stages = {stage: round(float(np.median([time[stage] for time in times])), 3)
              for stage in times[0]}
    iou = {name: round(float(score), 4) for name, score in zip(segment.labels.names, matrix.iou())}
    return Report(len(times), matrix.mean_iou(), iou, matrix.accuracy(),
                  float(np.mean(densities)), stages)
