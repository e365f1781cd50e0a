# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The machine, versions and commit of a measurement, and measurements as JSON."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sparse_seg_ros.files import PACKAGE


def write_figures(path: str | Path, figures: Mapping[str, object]) -> None:
    """Write a measurement as JSON, with the machine and the commit that it belongs to."""
    Path(path).write_text(to_json(figures))


def write_json(path: str | Path, content: object) -> None:
    """Write content as JSON; null stands for what is not a number."""
    Path(path).write_text(json.dumps(finite(content), indent=1, allow_nan=False) + '\n')


def to_json(figures: Mapping[str, object]) -> str:
    """Return the text of a measurement's file."""
    return json.dumps(finite({**machine(), **figures}), indent=1, allow_nan=False) + '\n'


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
    described = subprocess.run(['git', 'describe', '--always', '--dirty=+'], cwd=PACKAGE,
                           capture_output=True, text=True, check=False)
    return described.stdout.strip() or None
