# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times on a monotonic clock: the stages of a frame, and rivals that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch


class Stopwatch:
    """
    Adds up milliseconds per named stage: `with stopwatch('dense'): ...`.

    A stage inside another one is charged alone for its time. On a CUDA device the stages are
    events in its stream: the host waits for the device when it reads the times, not before.
    is_recorded: in a CUDA graph, of whose last replay they then are.
    """

    def __init__(self, device: torch.device | str = 'cpu', is_recorded: bool = False):
        self.device, self.is_recorded = torch.device(device), is_recorded
        self.open: list[str] = []  # stages, the innermost last
        self.marks: list[tuple[str, Any]] = []  # the stage from then on, '' for none; the moment

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.open.append(stage)
        self.mark()
        try:
            yield
        finally:
            self.open.pop()
            self.mark()

    def mark(self) -> None:
        """Remember that the innermost stage goes on from now."""
        moment: Any = time.perf_counter()
        if self.device.type == 'cuda':
            external = {'external': True} if self.is_recorded else {}  # torch 2.7 knows the word
            moment = torch.cuda.Event(enable_timing=True, **external)
            moment.record(torch.cuda.current_stream(self.device))
        self.marks.append((self.open[-1] if self.open else '', moment))

    @property
    def milliseconds(self) -> dict[str, float]:
        """Stage -> milliseconds; on a CUDA device this waits until they are over."""
        if self.marks and self.device.type == 'cuda':
            self.marks[-1][1].synchronize()
        sums: dict[str, float] = {}
        for (stage, start), (_, end) in pairwise(self.marks):
            if stage:
                spent = start.elapsed_time(end) if self.device.type == 'cuda' \
                    else (end - start) * 1e3
                sums[stage] = sums.get(stage, 0.0) + spent
        return sums

    def then(self, decide: Callable[[], float]) -> Callable[[], float]:
        """Return a function that waits until the device has done its work, then decides."""
        def wait_and_decide() -> float:
            if self.device.type == 'cuda':
                torch.cuda.current_stream(self.device).synchronize()
            return decide()
        return wait_and_decide


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
