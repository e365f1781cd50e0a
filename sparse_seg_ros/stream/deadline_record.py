# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of the deadlines: the status `deadline` in /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparse_seg_ros.messages.status import DEGRADED, ON_TIME, Status
from sparse_seg_ros.stream.alarm import Alarm

DEADLINE, LATE = 'deadline', 'late'  # task and key, beside those of each frame
RECENT, RISE = 10, 3  # frames looked at, and how many of them make a trouble
QUIET_SECONDS = 10.0  # without a frame of a camera, after which its last ones are no news


def trouble() -> Alarm:
    """Return what begins when RISE of the last RECENT frames have it, and ends when none has."""
    return Alarm(RISE, RECENT, RECENT)


@dataclass
class CameraRecord:
    """The troubles of one camera, and when its last frame was published."""

    lateness: Alarm = field(default_factory=trouble)
    shedding: Alarm = field(default_factory=trouble)
    published_seconds: float = 0.0


class DeadlineRecord:
    """Counts frames with a deadline, watches each camera, and keeps what the last frame says."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.on_time = self.late = self.degraded = 0
        self.clock = clock
        self.cameras: dict[str, CameraRecord] = {}
        self.refines, self.last = True, {}

    def add(self, camera: str, is_on_time: bool, is_cut: bool, refines: bool,
            facts: Mapping[str, Any]) -> None:
        """Count a published frame; refines: whether its model does, facts: as in ~/timing."""
        self.on_time += is_on_time
        self.late += not is_on_time
        self.degraded += is_cut
        own = self.cameras.setdefault(camera, CameraRecord())
        own.lateness.note(not is_on_time)
        own.shedding.note(is_cut)
        own.published_seconds = self.clock()
        self.refines, self.last = refines, dict(facts)

    def status(self) -> Status:
        """Return the status `deadline`."""
        values = {**self.last, ON_TIME: self.on_time, LATE: self.late, DEGRADED: self.degraded}
        cure = 'use a smaller model or a longer deadline_ms'
        if not self.refines:
            cure += '; the model refines nothing that could be left out'
        recent = {camera: each for camera, each in list(self.cameras.items())
                  if self.clock() - each.published_seconds < QUIET_SECONDS}
        late = [(camera, sum(each.lateness.seen), len(each.lateness.seen))
                for camera, each in recent.items() if each.lateness.is_on]
        if late:
            words = ', '.join(f'{number} of the last {count} frames of {camera}'
                              for camera, number, count in late)
            is_error = any(number == RECENT for _, number, _ in late)
            return Status(DEADLINE, 'ERROR' if is_error else 'WARN',
                          f'{words} were late; {cure}', values)
        if any(each.shedding.is_on for each in recent.values()):
            return Status(DEADLINE, 'WARN', 'on time, with less refinement than asked for', values)
        return Status(DEADLINE, 'OK', 'on time' if self.last else 'no frames yet', values)
