# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of curves; the only file that imports matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparse_seg_ros.evaluation.similarity import Fit
from sparse_seg_ros.evaluation.uncertainty import Point, UncertaintyCurve


def plot_selection(curve: UncertaintyCurve, chosen: Point | None, path: str | Path) -> None:
    """Draw recall and precision over density, as SparseRefine's Figure 3, with the choice."""
    points = curve.points()
    figure = new_figure()
    for axes, name in zip(figure.subplots(1, 2), ('recall', 'precision')):
        axes.plot([100 * point.density for point in points],
                  [100 * getattr(point, name) for point in points], color='tab:blue')
        if chosen is not None:
            x, y = 100 * chosen.density, 100 * getattr(chosen, name)
            axes.plot([x], [y], 'o', color='tab:red')
            axes.annotate(f'alpha {chosen.alpha:.3g} nats\n{x:.1f} %, {y:.1f} %', (x, y),
                          xytext=(12, -24), textcoords='offset points')
        axes.set(xlabel='density: pixels selected (%)', ylabel=f'{name} (%)', xlim=(0, 100),
                 ylim=(0, 100))
        axes.grid(alpha=0.3)
    figure.suptitle(f'errors of the dense stage, by its entropy: AUROC {curve.auroc():.3f}')
    figure.savefig(path, dpi=120)


def plot_attention(figures: dict, path: str | Path) -> None:
    """Draw the time of networks and the share of attention over pixels, of `bench attention`."""
    figure = new_figure()
    times, shares = figure.subplots(1, 2)
    for name, exponent in figures['exponents'].items():
        rows = [row for row in figures['rows'] if row['network'] == name]
        megapixels = [row['side'] ** 2 / 1e6 for row in rows]
        times.loglog(megapixels, [row['seconds'] for row in rows], 'o-',
                     label=f'{name}: pixels ** {exponent:.2f}')
        line, = shares.semilogx(megapixels, [100 * row['time_share'] for row in rows], 'o-',
                                label=f'{name}, time')
        shares.semilogx(megapixels, [100 * row['share'] for row in rows], 'o--',
                        color=line.get_color(), label=f'{name}, multiply-adds')
    times.set(xlabel='megapixels', ylabel=f"seconds per image, {figures['precision']}")
    shares.set(xlabel='megapixels', ylabel='share of attention (%)', ylim=(0, 100))
    for axes in (times, shares):
        axes.set_xticks(megapixels, [f'{size:.1f}' for size in megapixels])
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def plot_merging(fit: Fit, path: str | Path) -> None:
    """Draw mIoU over tokens kept and over time, as ALGM's Figure 4, with the choice."""
    figure = new_figure()
    baseline, *points = fit.points
    for axes, name, unit in zip(figure.subplots(1, 2), ('kept', 'milliseconds'), (100, 1)):
        axes.plot([unit * getattr(point, name) for point in points],
                  [100 * point.mean_iou for point in points], '.-', color='tab:blue')
        axes.plot([unit * getattr(baseline, name)], [100 * baseline.mean_iou], 's',
                  color='tab:gray', label='without merging')
        axes.plot([unit * getattr(fit.chosen, name)], [100 * fit.chosen.mean_iou], 'o',
                  color='tab:red', label=f'threshold {fit.chosen.threshold:.3f}')
        axes.axhline(100 * baseline.mean_iou, color='tab:gray', linestyle=':')
        axes.set(xlabel={'kept': 'tokens kept (%)', 'milliseconds': 'time of a frame (ms)'}[name],
                 ylabel='mIoU (%)')
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f'merging of tokens: automatic threshold {fit.automatic:.3f}')
    figure.savefig(path, dpi=120)


def new_figure() -> Any:
    """Return an empty figure for two pictures side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('--plot needs matplotlib; install it with '
                          '`pip install matplotlib`') from None
    return Figure(figsize=(9, 4), layout='constrained')
