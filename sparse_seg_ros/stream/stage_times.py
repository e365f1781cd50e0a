# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Percentiles of stage times over the last frames, or over all of a replay."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping

import numpy as np


class StageTimes:
    """Collects milliseconds per stage; the oldest frames are forgotten past `capacity`."""

    def __init__(self, capacity: int | None = 300):
        self.times = defaultdict(lambda: deque(maxlen=capacity))
        self.overruns, self.last_seconds = 0, time.monotonic()

    def add(self, milliseconds: Mapping[str, float],
            budget_milliseconds: float = float('inf')) -> None:
        """Add one frame, and count how many in a row were over the budget."""
        self.last_seconds = time.monotonic()
        for stage, spent in milliseconds.items():
            self.times[stage].append(spent)
        is_over = milliseconds.get('total', 0.0) > budget_milliseconds
        self.overruns = self.overruns + 1 if is_over else 0

    def percentiles(self, *ranks: int) -> dict[str, dict[str, float]]:
        """Return stage -> {'p50': milliseconds, ...} for the given ranks."""
        return {stage: {f'p{rank}': round(float(np.percentile(list(times), rank)), 3)
                        for rank in ranks} for stage, times in list(self.times.items())}
