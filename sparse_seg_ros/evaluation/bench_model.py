# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Milliseconds per frame of several models, interleaved in one run so that ratios hold."""

from __future__ import annotations

import numpy as np

from sparse_seg_ros.data.street import Street
from sparse_seg_ros.evaluation.tables import machine
from sparse_seg_ros.segmenter import Segmenter


def run(models: dict[str, Segmenter], size_hw: tuple[int, int], repeats: int = 10) -> dict:
    """
    Name -> Segmenter, timed on street frames of one size; prints a table, returns its figures.

    Each round times every model once on the same frame; medians are reported after one warm-up
    round. The last model is the rival: ratios are its total time divided by each model's.
    """
    street = Street(seed=7, size_hw=size_hw)
    rounds = [{name: segment(street.frame(index).image) for name, segment in models.items()}
              for index in range(repeats + 1)][1:]
    rows = {name: {stage: float(np.median([seen[name].milliseconds[stage] for seen in rounds]))
                   for stage in rounds[0][name].milliseconds} for name in models}
    rival = list(models)[-1]
    print(f'median of {repeats} frames {size_hw[0]}x{size_hw[1]}, ms; ratio to {rival}')
    for name, stages in rows.items():
        density = float(np.mean([seen[name].density for seen in rounds]))
        stages['density'] = density
        stages['ratio'] = rows[rival]['total'] / stages['total']
        print(f'{name:24}', ' '.join(f'{stage} {value:.1f}' for stage, value in stages.items()
                                     if stage not in ('density', 'ratio')),
              f'| density {density:.1%} | {stages["ratio"]:.2f}x')
    return {**machine(), 'size_hw': list(size_hw), 'repeats': repeats, 'rows': rows}
