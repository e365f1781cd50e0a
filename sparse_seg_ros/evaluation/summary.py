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

RANKS = (50, 95, 99)
SIZES = ('small', 'medium', 'large')


def summary_of(scores: Any) -> dict[str, Any]:
    """Return the figures of all frames."""
    matrix = scores.matrix
    return {
        'frames': scores.frames, 'labelled': scores.labelled,
        'miou': number(matrix.mean_iou()),
        'accuracy': number(matrix.accuracy()) if matrix.pixels().any() else None,
        'mean_accuracy': number(matrix.mean_accuracy()),
        'frequency_weighted_iou': number(matrix.frequency_weighted_iou()),
        'boundary_f1': None, 'boundary_iou': None,
        'small_miou': number(scores.small.mean_iou()), 'medium_miou': None, 'large_miou': None,
        'ece': None, 'brier': None, 'nll': None, 'auroc': None, 'aupr': None, 'aurc': None,
        'density': scores.density if scores.frames else None,
        'selection': {'recall': None, 'precision': None, 'density': None},
        'interval': {'miou': None, 'accuracy': None},
        'class': classes_of(scores), 'latency': latency_of(scores.milliseconds)}


def classes_of(scores: Any) -> dict[str, dict[str, Any]]:
    """Return the figures of each class, by its name."""
    columns = {'iou': scores.matrix.iou(), 'accuracy': scores.matrix.class_accuracy(),
               'small_iou': scores.small.iou()}
    pixels = scores.matrix.pixels()
    absent = dict.fromkeys(('interval', 'boundary_f1', 'boundary_iou', 'medium_iou', 'large_iou'))
    return {name: {**{figure: number(values[row]) for figure, values in columns.items()},
                   **absent, 'pixels': int(pixels[row])}
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
    """Return the confusion matrix and what a report draws as curves."""
    return {'confusion': scores.matrix.counts.tolist(), 'reliability': [], 'density_recall': [],
            'risk_coverage': []}


def number(value: float) -> float | None:
    """Return the value; None where it is not a number."""
    return float(value) if math.isfinite(value) else None
