# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a calibration found, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable

from sparse_seg_ros.evaluation.calibration import UncertaintyReport
from sparse_seg_ros.evaluation.class_similarity import ClassSimilarity
from sparse_seg_ros.evaluation.similarity import Tradeoff
from sparse_seg_ros.evaluation.uncertainty import Point, UncertaintyCurve

TABLE_NATS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)


def thresholds(curve: UncertaintyCurve) -> str:
    """Return what a few thresholds select, as the paper's Table A1."""
    lines = ['| alpha (nats) | density | recall | precision |', '| ---: | ---: | ---: | ---: |']
    for point in map(curve.at, TABLE_NATS):
        lines.append(f'| {point.alpha:.3f} | {100 * point.density:.1f} | '
                     f'{100 * point.recall:.1f} | {100 * point.precision:.1f} |')
    return '\n'.join(lines)


def merging(points: Iterable[Tradeoff]) -> str:
    """Return what each threshold does to accuracy, time and tokens."""
    lines = ['| threshold | mIoU | ms | tokens kept |', '| ---: | ---: | ---: | ---: |']
    for point in points:
        threshold = 'none' if point.threshold is None else f'{point.threshold:.3f}'
        lines.append(f'| {threshold} | {100 * point.mean_iou:.2f} | {point.milliseconds:.0f} | '
                     f'{100 * point.kept:.1f} % |')
    return '\n'.join(lines)


def similarities(found: ClassSimilarity) -> str:
    """Return how similar tokens of one class and of two are, as ALGM's Figure 2."""
    rows = [(f'windows of {side} x {side}, layer 1', pair) for side, pair in found.windows.items()]
    rows += [(f'the image, layer {layer}', pair) for layer, pair in found.layers.items()]
    return '\n'.join([
        '| tokens within | of one class | of two classes |', '| --- | ---: | ---: |',
        *(f'| {where} | {same:.3f} | {other:.3f} |' for where, (same, other) in rows)])


def effect(point: Point) -> str:
    """Return a threshold's effect in words."""
    return (f'density {100 * point.density:.1f} %, recall {100 * point.recall:.1f} %, '
            f'precision {100 * point.precision:.1f} %')


def trust(measured: UncertaintyReport) -> str:
    """Return how far the uncertainty can be trusted, in one line."""
    selection = f'{effect(measured.selection)}, ' if measured.selection else ''
    return (f'{measured.frames} frames: {selection}AUROC {measured.selection_auroc:.3f} (dense '
            f'stage) and {measured.auroc:.3f} (result), calibration error '
            f'{measured.calibration_error_before:.3f} before and '
            f'{measured.calibration_error:.3f} after')
