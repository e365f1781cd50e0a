# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of reports, for terminals, README and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparse_seg_ros.evaluation.comparison import Difference
from sparse_seg_ros.evaluation.corruptions import CorruptionRow
from sparse_seg_ros.evaluation.scores import Report

CORRUPTION_HEAD = ('made worse by', 'severity', 'mIoU', 'ECE', 'AUROC', 'uncertainty', 'refined')


def markdown(reports: dict[str, Report]) -> str:
    """Name -> Report on the same frames -> markdown: a row each, and one of small objects."""
    classes = list(next(iter(reports.values())).iou)
    head = ['model', 'mIoU', *classes, 'density', 'ms']
    rows = [[name, percent(report.mean_iou), *percents(report.iou, classes),
             percent(report.density), milliseconds(report)]
            for name, report in reports.items()]
    rows += [[f'{name}, small objects', percent(report.small_mean_iou),
              *percents(report.small_iou, classes), '', '']
             for name, report in reports.items()]
    return grid(head, rows)


def milliseconds(report: Report) -> str:
    """Return the median time of a frame, '-' for predictions that were made before."""
    return f"{report.milliseconds['total']:.0f}" if 'total' in report.milliseconds else '-'


def intervals(summaries: dict[str, Mapping[str, Any]]) -> str:
    """Name -> summary -> a line for each model: mIoU with its interval, and what else counts."""
    lines = []
    for name, summary in summaries.items():
        low, high = summary['interval']['miou'] or (math.nan, math.nan)
        figures = [f"mIoU {percent(summary['miou'] or math.nan)} ({percent(low)} to "
                   f'{percent(high)})']
        figures += [f'{title} {summary[key]:.3f}' for key, title in (
            ('boundary_f1', 'boundary F1'), ('ece', 'ECE'), ('auroc', 'AUROC'), ('nll', 'NLL'),
            ('flicker', 'flicker')) if summary[key] is not None]
        lines.append(f"{name}: {', '.join(figures)}")
    return '\n'.join(lines)


def differences(first: str, second: str, found: Sequence[Difference]) -> str:
    """Names of two models, and how they differ -> markdown, in points of per cent."""
    return grid([f'{second} less {first}', 'points', '95 % interval', ''], [
        [each.figure, signed(each.value),
         'none' if each.interval is None else ' to '.join(map(signed, each.interval)),
         'clear' if each.is_clear else ''] for each in found])


def corruptions(rows: Sequence[CorruptionRow]) -> str:
    """Rows of one model -> markdown."""
    return grid([*CORRUPTION_HEAD], [corruption_cells(row) for row in rows])


def corruption_cells(row: CorruptionRow) -> list[str]:
    """Return the cells of CORRUPTION_HEAD."""
    known = [math.nan if value is None else value for value in (
        row.miou, row.ece, row.auroc, row.uncertainty, row.density)]
    miou, ece, auroc, uncertainty, density = known
    return [row.name.replace('_', ' ') or 'nothing', str(row.severity or '-'), percent(miou),
            fraction(ece), fraction(auroc), percent(uncertainty), percent(density)]


def fraction(value: float) -> str:
    """0.1234 -> '0.123', and '-' where there was nothing to measure."""
    return '-' if math.isnan(value) else f'{value:.3f}'


def signed(share: float | None) -> str:
    """0.0123 -> '+1.2', and '-' where there was nothing to measure."""
    return '-' if share is None else f'{100 * share:+.1f}'


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
