# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Time and accuracy of several models on the same frames, interleaved in one run.

If one of them refines and another is the same network at full resolution, a verdict says whether
refining pays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sparse_seg_ros.data.frame import AnyFrame
from sparse_seg_ros.evaluation.loop import read_frames
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.evaluation.verdict import judge, mean_iou
from sparse_seg_ros.segmenter import Segmenter

REFINE_STAGES = ('select', 'extract', 'ensemble')


@dataclass(frozen=True)
class Result:
    """One frame by one model; matrix: None where the frame has other classes than the model."""

    density: float
    milliseconds: dict[str, float]
    matrix: ConfusionMatrix | None = None


def run(models: dict[str, Segmenter], frames: Iterable[AnyFrame],
        classes: tuple[str, ...] = ()) -> dict:
    """
    Name -> Segmenter, on (image, label) pairs -> figures of each, and verdicts.

    The last model is the rival: ratios are its median time divided by each model's. Of what
    refines, the table has the largest density, and p99 / p50 of the time of its stages. classes:
    of the labels; models with others are timed only.
    """
    results, size_hw = segment_all(models, frames, classes)
    rows = {name: summarise(each) for name, each in results.items()}
    rival, count = list(models)[-1], len(next(iter(results.values())))
    for row in rows.values():
        row['ratio'] = rows[rival]['milliseconds']['total'] / row['milliseconds']['total']
    verdicts = {}
    for pair in find_pairs(models):
        verdict = judge(*([(each.milliseconds['total'], each.matrix) for each in results[name]]
                          for name in pair))
        verdicts[' against '.join(pair)] = verdict.record()
    return {'size_hw': list(size_hw), 'repeats': count, 'rows': rows, 'verdicts': verdicts}


def describe(figures: dict) -> str:
    """Figures of `run` -> a line for each model, and whether refining pays."""
    rows, (height, width) = figures['rows'], figures['size_hw']
    return '\n'.join([
        f'median of {figures["repeats"]} frames {height}x{width}, ms; ratio to {list(rows)[-1]}',
        *(describe_row(name, row) for name, row in rows.items()),
        *(f'{pair}: {verdict["text"]}' for pair, verdict in figures['verdicts'].items())])


def segment_all(models: dict[str, Segmenter], frames: Iterable[AnyFrame],
                classes: tuple[str, ...]) -> tuple[dict[str, list[Result]], tuple[int, int]]:
    """Let every model segment every frame in turn, the first one twice -> results, last size."""
    results: dict[str, list[Result]] = {name: [] for name in models}
    for _, image, label in read_frames(frames, 'frames'):
        for name, segment in models.items():
            if not results[name]:
                segment(image)  # to warm up
            results[name].append(segment_one(
                segment, image, label if segment.labels.names == classes else None))
    return results, image.shape[:2]


def find_pairs(models: dict[str, Segmenter]) -> list[tuple[str, str]]:
    """Return the names of each model that refines and of its network at a larger scale."""
    return [(one, other) for one, refined in models.items() for other, full in models.items()
            if refined.budget is not None and full.description['method'] == 'dense'
            and full.description['network'] == refined.description['network']
            and full.labels.names == refined.labels.names
            and full.method.scale > refined.method.scale]


def describe_row(name: str, row: dict) -> str:
    """Return a line of the table."""
    stages = ' '.join(f'{stage} {value:.1f}' for stage, value in row['milliseconds'].items())
    parts = [f'{name:24} {stages}', f'{row["ratio"]:.2f}x']
    if 'mean_iou' in row:
        parts.append(f'mIoU {row["mean_iou"]:.1%}')
    if row['density_most']:
        parts.append(f'density {row["density"]:.2%}, at most {row["density_most"]:.2%}; p99 / '
                     f'p50 of refining {row["refining_p99_to_p50"]:.2f}')
    return ' | '.join(parts)


def segment_one(segment: Segmenter, image: np.ndarray, label: np.ndarray | None) -> Result:
    """Segment a frame, and count its correct pixels if the truth is known."""
    prediction, matrix = segment(image), None
    if label is not None:
        matrix = ConfusionMatrix(len(segment.labels))
        matrix.add(prediction.labels, label)
    return Result(prediction.density, prediction.milliseconds, matrix)


def summarise(frames: list[Result]) -> dict:
    """Frames of one model -> medians, how far the rest strays, and mIoU where it is known."""
    densities, times = zip(*((each.density, each.milliseconds) for each in frames))
    row = {'milliseconds': {stage: float(np.median([time[stage] for time in times]))
                            for stage in times[0]},
           'density': float(np.mean(densities)), 'density_most': float(np.max(densities))}
    if row['density_most']:
        refining = [sum(time[stage] for stage in REFINE_STAGES if stage in time) for time in times]
        median, late = np.percentile(refining, (50, 99))
        row['refining_p99_to_p50'] = float(late / median)
    if all(each.matrix is not None for each in frames):
        row['mean_iou'] = mean_iou(sum(each.matrix.counts for each in frames))
    return row
