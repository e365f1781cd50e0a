# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The figures of Scores by name, as plain JSON: None for what the frames cannot tell.

This is the only place that names them. A threshold addresses a figure by the path of its names,
as in `class.pedestrian.iou`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparse_seg_ros.evaluation.bootstrap import interval
from sparse_seg_ros.evaluation.counting import mean
from sparse_seg_ros.evaluation.object_sizes import SIZES

RANKS = (50, 95, 99)
POINTS = 100  # of a curve


def summary_of(scores: Any) -> dict[str, Any]:
    """Return the figures of all frames."""
    matrix, parts = scores.matrix, scores.parts
    detection, bootstrap = parts['detection'], parts['bootstrap']
    return {
        'frames': scores.frames, 'labelled': scores.labelled,
        'miou': number(matrix.mean_iou()),
        'accuracy': number(matrix.accuracy()) if matrix.pixels().any() else None,
        'mean_accuracy': number(matrix.mean_accuracy()),
        'frequency_weighted_iou': number(matrix.frequency_weighted_iou()),
        'boundary_f1': number(mean(parts['boundaries'].f1())),
        'boundary_iou': number(mean(parts['boundaries'].iou())),
        **{f'{size}_miou': number(parts['sizes'].mean_iou(size)) for size in SIZES},
        'ece': number(parts['calibration'].ece()), 'brier': number(parts['proper'].brier()),
        'nll': number(parts['proper'].nll()), 'auroc': number(detection.auroc()),
        'aupr': number(detection.aupr()), 'aurc': number(detection.aurc()),
        'density': number(scores.density) if scores.frames else None,
        'selection': parts['selection'].figures(),
        'interval': {'miou': interval(bootstrap.miou()),
                     'accuracy': interval(bootstrap.accuracy())},
        'class': classes_of(scores), 'latency': latency_of(scores.milliseconds)}


def classes_of(scores: Any) -> dict[str, dict[str, Any]]:
    """Return the figures of each class, by its name."""
    boundaries = scores.parts['boundaries']
    columns = {'iou': scores.matrix.iou(), 'accuracy': scores.matrix.class_accuracy(),
               'boundary_f1': boundaries.f1(), 'boundary_iou': boundaries.iou(),
               **{f'{size}_iou': scores.parts['sizes'].iou(size) for size in SIZES}}
    pixels, drawn = scores.matrix.pixels(), scores.parts['bootstrap'].iou()
    return {name: {**{figure: number(values[row]) for figure, values in columns.items()},
                   'interval': interval(drawn[:, row]), 'pixels': int(pixels[row])}
            for row, name in enumerate(scores.names)}


def latency_of(milliseconds: dict[str, list[float]]) -> dict[str, Any]:
    """Return the percentiles of whole frames, and of each stage."""
    total = milliseconds.get('total', [])
    return {**percentiles(total), 'mean_ms': math.fsum(total) / len(total) if total else None,
            'stages': {stage: percentiles(times) for stage, times in sorted(milliseconds.items())
                       if stage != 'total'}}


def percentiles(times: list[float]) -> dict[str, float | None]:
    """Return {'p50_ms': ..., ...}; None without times."""
    return {f'p{rank}_ms': float(np.percentile(times, rank)) if times else None
            for rank in RANKS}


def curves_of(scores: Any) -> dict[str, Any]:
    """
    Return the confusion matrix and what a report draws as curves.

    reliability: 15 rows of mean confidence, accuracy, and pixels. density_recall: [density,
    recall], the least sure pixels first. risk_coverage: [coverage, risk], the surest ones first.
    """
    detection, bins = scores.parts['detection'], scores.parts['calibration'].bins()
    return {'confusion': scores.matrix.counts.tolist(),
            'reliability': [[number(confidence), number(accuracy), int(pixels)]
                            for confidence, accuracy, pixels in bins],
            'density_recall': detection.density_recall(POINTS),
            'risk_coverage': detection.risk_coverage(POINTS)}


def number(value: float) -> float | None:
    """Return the value; None where it is not a number."""
    return float(value) if math.isfinite(value) else None
