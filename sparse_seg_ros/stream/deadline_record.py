# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of the deadlines: the status `deadline` in /diagnostics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from sparse_seg_ros.messages.status import DEGRADED, ON_TIME, Status

DEADLINE, LATE = 'deadline', 'late'  # task and key, beside those of each frame
RECENT, RISE = 10, 3  # frames looked at, and how many of them make a trouble


class Trouble:
    """Begins when it is true of RISE of the last RECENT frames, and ends when of none."""

    def __init__(self):
        self.recent, self.count, self.is_on = deque(maxlen=RECENT), 0, False

    def add(self, is_so: bool) -> None:
        """Take one frame into account."""
        self.recent.append(is_so)
        self.count = sum(self.recent)
        self.is_on = self.count >= RISE or self.is_on and self.count > 0


class DeadlineRecord:
    """Counts frames with a deadline, and keeps what the last one says."""

    def __init__(self):
        self.on_time = self.late = self.degraded = 0
        self.lateness, self.shedding = Trouble(), Trouble()
        self.refines, self.last = True, {}

    def add(self, is_on_time: bool, is_cut: bool, refines: bool, facts: Mapping[str, Any]) -> None:
        """Count a published frame; refines: whether its model does, facts: as in ~/timing."""
        self.on_time += is_on_time
        self.late += not is_on_time
        self.degraded += is_cut
        self.lateness.add(not is_on_time)
        self.shedding.add(is_cut)
        self.refines, self.last = refines, dict(facts)

    def status(self) -> Status:
        """Return the status `deadline`."""
        values = {**self.last, ON_TIME: self.on_time, LATE: self.late, DEGRADED: self.degraded}
        cure = 'use a smaller model or a longer deadline_ms'
        if not self.refines:
            cure += '; the model refines nothing that could be left out'
        if self.lateness.is_on:
            late, count = self.lateness.count, len(self.lateness.recent)
            return Status(DEADLINE, 'ERROR' if late == RECENT else 'WARN',
                          f'{late} of the last {count} frames were late; {cure}', values)
        if self.shedding.is_on:
            return Status(DEADLINE, 'WARN', 'on time, with less refinement than asked for', values)
        return Status(DEADLINE, 'OK', 'on time' if self.last else 'no frames yet', values)
