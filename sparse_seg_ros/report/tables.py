# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of reports, for terminals, README and JSON."""

from __future__ import annotations

import math

from sparse_seg_ros.evaluation.scores import Report


def markdown(reports: dict[str, Report]) -> str:
    """Name -> Report on the same frames -> markdown: a row each, and one of small objects."""
    classes = list(next(iter(reports.values())).iou)
    head = ['model', 'mIoU', *classes, 'density', 'ms']
    rows = [[name, percent(report.mean_iou), *percents(report.iou, classes),
             percent(report.density), f"{report.milliseconds['total']:.0f}"]
            for name, report in reports.items()]
    rows += [[f'{name}, small objects', percent(report.small_mean_iou),
              *percents(report.small_iou, classes), '', '']
             for name, report in reports.items()]
    return grid(head, rows)


def grid(head: list[str], rows: list[list[str]]) -> str:
    """Cells -> a markdown table, its first column to the left and the others to the right."""
    lines = [head, ['---'] + ['---:'] * (len(head) - 1), *rows]
    return '\n'.join(f"| {' | '.join(line)} |" for line in lines)


def percent(fraction: float) -> str:
    """0.123 -> '12.3', and '-' where there was nothing to measure."""
    return '-' if math.isnan(fraction) else f'{100 * fraction:.1f}'


def percents(scores: dict[str, float], classes: list[str]) -> list[str]:
    """Return one cell per class, '-' for those without a score."""
    return [percent(scores[name]) if name in scores else '-' for name in classes]
