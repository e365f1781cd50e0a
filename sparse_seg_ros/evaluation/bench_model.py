# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Milliseconds per frame of several models, interleaved in one run so that ratios hold."""

from __future__ import annotations

import numpy as np

from sparse_seg_ros.data.street import Street
from sparse_seg_ros.evaluation.tables import machine
from sparse_seg_ros.segmenter import Segmenter

REFINE_STAGES = ('select', 'extract', 'ensemble')


def run(models: dict[str, Segmenter], size_hw: tuple[int, int], repeats: int = 10) -> dict:
    """
    Name -> Segmenter, timed on street frames of one size; prints a table, returns its figures.

    Each round times every model once on the same frame, after one round of warming up. The last
    model is the rival: ratios are its median time divided by each model's. Of what refines, the
    table has the largest density, and p99 / p50 of the time of its stages.
    """
    street = Street(seed=7, size_hw=size_hw)
    seen: dict[str, list[tuple[float, dict[str, float]]]] = {name: [] for name in models}
    for index in range(repeats + 1):
        image = street.frame(index).image
        for name, segment in models.items():
            prediction = segment(image)
            seen[name].append((prediction.density, prediction.milliseconds))
    rows = {name: describe(frames[1:]) for name, frames in seen.items()}
    rival = list(models)[-1]
    print(f'median of {repeats} frames {size_hw[0]}x{size_hw[1]}, ms; ratio to {rival}')
    for name, row in rows.items():
        row['ratio'] = rows[rival]['milliseconds']['total'] / row['milliseconds']['total']
        stages = ' '.join(f'{stage} {value:.1f}' for stage, value in row['milliseconds'].items())
        print(f'{name:24} {stages} | {row["ratio"]:.2f}x', end='')
        print(f' | density {row["density"]:.2%}, at most {row["density_most"]:.2%}; p99 / p50 of '
              f'refining {row["refining_p99_to_p50"]:.2f}' if row['density_most'] else '')
    return {**machine(), 'size_hw': list(size_hw), 'repeats': repeats, 'rows': rows}


def describe(frames: list[tuple[float, dict[str, float]]]) -> dict:
    """(density, milliseconds per stage) of each frame -> medians, and how far the rest strays."""
    densities, times = zip(*frames)
    row = {'milliseconds': {stage: float(np.median([time[stage] for time in times]))
                            for stage in times[0]},
           'density': float(np.mean(densities)), 'density_most': float(np.max(densities))}
    if row['density_most']:
        refining = [sum(time[stage] for stage in REFINE_STAGES if stage in time) for time in times]
        median, late = np.percentile(refining, (50, 99))
        row['refining_p99_to_p50'] = float(late / median)
    return row
