# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score a segmenter on labelled frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.evaluation.small_objects import SmallObjects
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.texts import cut

LOG = logging.getLogger(__name__)
SHOWN = 3  # examples in a warning


@dataclass(frozen=True)
class Report:
    """
    Scores over a set of frames.

    iou: per class seen, in [0, 1]; small_iou: the same of the objects that cover few pixels;
    density: mean fraction of refined pixels; milliseconds: median per stage.
    """

    frames: int
    mean_iou: float
    small_mean_iou: float
    iou: dict[str, float]
    small_iou: dict[str, float]
    accuracy: float
    density: float
    milliseconds: dict[str, float]


def evaluate(segment: Segmenter, frames: Iterable[tuple[np.ndarray, np.ndarray]],
             watch: Callable[[np.ndarray, np.ndarray, Prediction], None] | None = None) -> Report:
    """
    Segment every (image, label) pair -> Report; watch is shown each with its prediction.

    Raises ValueError for frames that say they have other classes; warns where the predictions do.
    """
    check_classes(frames, segment.labels.names, 'the model')
    matrix, small = ConfusionMatrix(len(segment.labels)), SmallObjects(len(segment.labels))
    densities, times = [], []
    for image, label in tqdm(frames, 'evaluating', leave=False):
        seen = segment(image, truth=label)
        matrix.add(seen.labels, label)
        small.add(seen.labels, label)
        densities.append(seen.density)
        times.append(seen.milliseconds)
        if watch is not None:
            watch(image, label, seen)
    if not times:
        raise ValueError('no frames to evaluate')
    warn_of_other_order(matrix, segment.labels.names)
    stages = {stage: round(float(np.median([time[stage] for time in times])), 3)
              for stage in times[0]}
    iou, small_iou = ({name: round(float(score), 4) for name, score in
                       zip(segment.labels.names, scores.iou()) if np.isfinite(score)}
                      for scores in (matrix, small))
    return Report(len(times), matrix.mean_iou(), small.mean_iou(), iou, small_iou,
                  matrix.accuracy(), float(np.mean(densities)), stages)


def warn_of_other_order(matrix: ConfusionMatrix, names: tuple[str, ...]) -> None:
    """Warn if the frames seem to number the classes in another way than the model."""
    other = matrix.other_order()
    if other:
        seen = ', '.join(f'{names[truth]} as {names[predicted]}'
                         for truth, predicted in list(other.items())[:SHOWN])
        LOG.warning('the frames seem to have other classes than the model, or another order of '
                    'ids: it sees %s; compare their label set with that of the model: %s', seen,
                    cut(', '.join(names)))
