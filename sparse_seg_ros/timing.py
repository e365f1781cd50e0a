# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stage times of one frame on a monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """
    Adds up milliseconds per named stage: `with stopwatch('dense'): ...`.

    On a CUDA device each stage is synchronised, so that it is charged for its own work.
    """

    def __init__(self, device: torch.device | str = 'cpu'):
        self.device = torch.device(device)
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == 'cuda':
                torch.cuda.synchronize(self.device)
            spent = (time.perf_counter() - start) * 1e3
            self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + spent
