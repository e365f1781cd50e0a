# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times on a monotonic clock: the stages of a frame, and rivals that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch


class Stopwatch:
    """
    Adds up milliseconds per named stage: `with stopwatch('dense'): ...`.

    A stage inside another one is charged alone for its time. On a CUDA device each stage is
    synchronised, so that it is charged for its own work.
    """

    def __init__(self, device: torch.device | str = 'cpu'):
        self.device = torch.device(device)
        self.milliseconds: dict[str, float] = {}
        self.inside = 0.0  # milliseconds of stages within the present one

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start, outside, self.inside = time.perf_counter(), self.inside, 0.0
        try:
            yield
        finally:
            if self.device.type == 'cuda':
                torch.cuda.synchronize(self.device)
            spent = (time.perf_counter() - start) * 1e3
            self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + spent - self.inside
            self.inside = outside + spent


def interleaved(rivals: dict[str, Callable], repeats: int, calls: int = 1,
                device: torch.device | str = 'cpu') -> dict[str, float]:
    """
    Name -> callable: median seconds of each, taking turns, after one round of warming up.

    calls: of a turn, of which the last one counts: the others bring back into the caches what the
    turns of the rivals drove out.
    """
    rounds = [{name: [clocked(call, device) for _ in range(calls)][-1]
               for name, call in rivals.items()} for _ in range(repeats + 1)]
    return {name: float(np.median([seen[name] for seen in rounds[1:]])) for name in rivals}


def clocked(call: Callable, device: torch.device | str = 'cpu') -> float:
    """Seconds of one call, until its device has done the work."""
    clock = Stopwatch(device)
    with clock('call'):
        call()
    return clock.milliseconds['call'] / 1e3
