# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How a convolution is cut into programs: fixed, or as `bench sparse --tune` found best on this GPU.

What was found stays in one JSON in the user's cache, by GPU, Triton and widths. Nothing is tuned
while frames are segmented: that compiles every candidate, which takes seconds for each pair of
widths.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch

LOG = logging.getLogger(__name__)
SMALLEST_DOT = 16  # rows and columns that a tensor core takes
CACHE_LINE = 128  # bytes of a row that are read at a time, where nothing is tuned


@dataclass(frozen=True)
class Shape:
    """What is tuned by itself: number of kernels, widths and type of a convolution."""

    kernels: int
    cin: int
    cout: int
    dtype: torch.dtype

    def __str__(self) -> str:
        return f'{self.kernels}x{self.cin}x{self.cout} {str(self.dtype).removeprefix("torch.")}'


@dataclass(frozen=True)
class Launch:
    """Sides of a program's block, in outputs, output and input channels; warps; stages."""

    rows: int
    columns: int
    channels: int
    warps: int
    stages: int


def default_launch(shape: Shape) -> Launch:
    """Return what is used where nothing was tuned."""
    columns = min(128, power_of_two(shape.cout))
    channels = min(power_of_two(shape.cin), CACHE_LINE // shape.dtype.itemsize)
    return Launch(128, columns, channels, 8 if columns >= 64 else 4, 3)


def candidates(shape: Shape) -> tuple[Launch, ...]:
    """Return what is tried, the default first; a stored one that is not among them is ignored."""
    columns = sorted({min(wide, power_of_two(shape.cout)) for wide in (64, 128)})
    channels = sorted({min(deep, power_of_two(shape.cin)) for deep in (32, 64)})
    tried = [Launch(rows, wide, deep, warps, stages) for rows, wide, deep, warps, stages in
             product((64, 128), columns, channels, (4, 8), (2, 3, 4))]
    return tuple(dict.fromkeys((default_launch(shape), *tried)))


def power_of_two(width: int) -> int:
    """Width -> the next power of two that a tensor core takes."""
    return max(SMALLEST_DOT, 1 << (width - 1).bit_length())


@cache
def launch_of(shape: Shape, gpu: str | None) -> Launch:
    """
    Return the stored launch of a shape on a GPU, else the default; gpu None: there is none.

    The file is read once for each shape.
    """
    stored = None if gpu is None else read(default_path()).get(gpu, {}).get(str(shape))
    try:
        launch = Launch(*stored) if isinstance(stored, list) else None
    except TypeError:
        launch = None
    return launch if launch in candidates(shape) else default_launch(shape)


def tune(shape: Shape, gpu: str, seconds_of: Callable[[Launch], float],
         errors: tuple[type[Exception], ...], path: Path | None = None) -> Launch:
    """
    Time all candidates, store the fastest and return it.

    seconds_of raises one of the errors where a candidate does not run on this GPU; where none
    runs, RuntimeError.
    """
    times: dict[Launch, float] = {}
    for launch in candidates(shape):
        try:
            times[launch] = seconds_of(launch)
        except errors as error:
            LOG.info('%s: %s does not run: %s', shape, launch, error)
    if not times:
        raise RuntimeError(f'no launch of a convolution {shape} runs on {gpu}')
    best = min(times, key=times.__getitem__)
    store(gpu, shape, best, path or default_path())
    return best


def default_path() -> Path:
    """Return where tuned launches are kept."""
    cache_folder = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return cache_folder / 'sparse_seg_ros' / 'sparse_convolution.json'


def read(path: Path) -> dict[str, dict]:
    """Path -> launches by GPU and shape; none where the file is missing, broken or foreign."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):  # of the disk; of JSON and of its encoding
        return {}
    if not isinstance(content, dict):
        return {}
    return {gpu: launches for gpu, launches in content.items() if isinstance(launches, dict)}


def store(gpu: str, shape: Shape, launch: Launch, path: Path) -> None:
    """Add a launch to the file, which another process sees as it was or as it will be."""
    content = read(path)
    content.setdefault(gpu, {})[str(shape)] = list(astuple(launch))
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile('w', dir=path.parent, suffix='.json', delete=False) as file:
        json.dump(content, file, indent=1)
    os.replace(file.name, path)
    launch_of.cache_clear()
