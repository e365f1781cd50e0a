# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of reports, for terminals, README and JSON."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sparse_seg_ros.evaluation.evaluate import Report
from sparse_seg_ros.files import PACKAGE
from sparse_seg_ros.segmenter import Segmenter


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


def write_figures(path: str | Path, figures: Mapping[str, object]) -> None:
    """Write a measurement as JSON, with the machine and the commit that it belongs to."""
    Path(path).write_text(to_json(figures))


def to_json(figures: Mapping[str, object]) -> str:
    """Return the text of a measurement's file."""
    return json.dumps(finite({**machine(), **figures}), indent=1, allow_nan=False) + '\n'


def weights_of(segment: Segmenter) -> dict[str, str | None]:
    """Return file name and sha256 of the weights of a segmenter; None where it has no file."""
    return {'file': segment.description.get('weights'),
            'sha256': segment.description.get('weights_hash')}


def finite(values: object) -> object:
    """Replace what JSON cannot say, not a number, by null."""
    if isinstance(values, Mapping):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def machine() -> dict:
    """Processor, versions and commit that a measurement belongs to."""
    import torch
    return {'processor': processor(), 'instructions': torch.backends.cpu.get_cpu_capability(),
            'threads': torch.get_num_threads(),
            'device': torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
            'python': platform.python_version(), 'commit': commit(),
            'versions': {name: installed(name) for name in
                         ('torch', 'numpy', 'spconv', 'transformers')}}


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        with open('/proc/cpuinfo') as file:
            names = [line.split(':')[1].strip() for line in file if 'model name' in line]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def installed(package: str) -> str | None:
    """Version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """Short commit of the checkout, '+' if it has changes; None outside one."""
    asked = subprocess.run(['git', 'describe', '--always', '--dirty=+'], cwd=PACKAGE,
                           capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
