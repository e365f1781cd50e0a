# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of curves; the only file that imports matplotlib."""

from __future__ import annotations

from pathlib import Path

from sparse_seg_ros.evaluation.uncertainty import Point, UncertaintyCurve


def plot_selection(curve: UncertaintyCurve, chosen: Point | None, path: str | Path) -> None:
    """Draw recall and precision over density, as SparseRefine's Figure 3, with the choice."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('--plot needs matplotlib; install it with '
                          '`pip install matplotlib`') from None
    points = curve.points()
    figure = Figure(figsize=(9, 4), layout='constrained')
    for axes, name in zip(figure.subplots(1, 2), ('recall', 'precision')):
        axes.plot([100 * point.density for point in points],
                  [100 * getattr(point, name) for point in points], color='tab:blue')
        if chosen is not None:
            x, y = 100 * chosen.density, 100 * getattr(chosen, name)
            axes.plot([x], [y], 'o', color='tab:red')
            axes.annotate(f'alpha {chosen.alpha_nats:.3g} nats\n{x:.1f} %, {y:.1f} %', (x, y),
                          xytext=(12, -24), textcoords='offset points')
        axes.set(xlabel='density: pixels selected (%)', ylabel=f'{name} (%)', xlim=(0, 100),
                 ylim=(0, 100))
        axes.grid(alpha=0.3)
    figure.suptitle(f'errors of the dense stage, by its entropy: AUROC {curve.auroc():.3f}')
    figure.savefig(path, dpi=120)
