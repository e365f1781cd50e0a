# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One slot per camera: the newest frame wins, every other is counted with its reason.

    received = published + superseded + stale + invalid + failed + abandoned + limited + waiting

holds at any time; waiting counts the frames in a slot or being segmented. Several workers may
serve the same slots; the frames of a camera are published in their order. After close() no frame
waits: the frames that it could not wait for are abandoned.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.stream.fair_schedule import FairSchedule, Rules

OUTCOMES = ('published', 'superseded', 'stale', 'invalid', 'failed', 'abandoned', 'limited')
UNUSABLE = ('invalid', 'failed')
PUBLISH_SECONDS = 2.0  # that close() waits for a frame whose publishing has begun


@dataclass
class Counters:
    """What became of the frames of one camera; in_a_row: unusable ones since one was published."""

    received: int = 0
    published: int = 0
    superseded: int = 0
    stale: int = 0
    invalid: int = 0
    failed: int = 0
    abandoned: int = 0
    limited: int = 0
    in_a_row: int = 0

    @property
    def settled(self) -> int:
        """Number of frames whose outcome is known."""
        return sum(getattr(self, outcome) for outcome in OUTCOMES)

    @property
    def waiting(self) -> int:
        """Number of frames in the slot or being segmented."""
        return self.received - self.settled


class LatestFrameSlots:
    """Slots of several cameras, filled by callbacks and emptied in turn by workers."""

    def __init__(self, cameras: Iterable[str], rules: Callable[[], Rules] = Rules,
                 clock: Callable[[], float] = time.monotonic):
        self.slots: dict[str, Frame | None] = dict.fromkeys(cameras)
        self.schedule, self.clock = FairSchedule(self.slots, rules), clock
        self.counts = {camera: Counters() for camera in self.slots}
        self.changed = threading.Condition()
        self.published_seconds = dict.fromkeys(self.slots, -math.inf)  # arrival of the newest
        self.in_flight: dict[Frame, bool] = {}  # whether its publishing has begun
        self.moved_seconds = clock()  # when a worker last took or settled a frame
        self.is_open = False

    def open(self) -> None:
        """Let frames in."""
        with self.changed:
            self.is_open = True

    def put(self, frame: Frame) -> bool:
        """Store the newest frame of a camera, its source; False, and not counted, while closed."""
        with self.changed:
            if not self.is_open:
                return False
            if not self.has_work():
                self.moved_seconds = self.clock()
            counts = self.counts[frame.source]
            counts.received += 1
            if not self.schedule.admits(frame):
                counts.limited += 1
                return True
            counts.superseded += self.slots[frame.source] is not None
            self.slots[frame.source] = frame
            self.changed.notify_all()
            return True

    def take(self, timeout_seconds: float | None = None) -> Frame | None:
        """Wait for a frame, and take the one that is next by schedule; None after the timeout."""
        with self.changed:
            self.changed.wait_for(lambda: any(self.slots.values()), timeout_seconds)
            frame = self.schedule.take(self.stored(), self.clock())
            if frame is None:
                return None
            self.slots[frame.source] = None
            self.in_flight[frame], self.moved_seconds = False, self.clock()
            return frame

    def begin_publishing(self, frame: Frame) -> bool:
        """
        Tell whether a frame may still be published; close() waits for it from here on.

        Waits until an older frame of its camera is out, which another worker publishes.
        """
        with self.changed:
            self.changed.wait_for(lambda: not self.is_publishing(frame.source), PUBLISH_SECONDS)
            if frame not in self.in_flight:
                return False
            if frame.arrived_seconds < self.published_seconds[frame.source]:
                self.count(frame, 'superseded')  # another worker was faster with a newer one
                return False
            self.in_flight[frame] = True
            self.published_seconds[frame.source] = frame.arrived_seconds
            return True

    def settle(self, frame: Frame, outcome: str) -> None:
        """Count what became of a frame taken; one that close() abandoned is counted already."""
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}; got {outcome!r}")
        with self.changed:
            if frame in self.in_flight:
                self.count(frame, outcome)

    def close(self, timeout_seconds: float = 0.0) -> None:
        """Let no frame in, wait for those being segmented; what is left is abandoned."""
        with self.changed:
            self.is_open = False
            for camera, frame in self.slots.items():
                if frame is not None:
                    self.slots[camera] = None
                    self.counts[camera].abandoned += 1
            self.changed.wait_for(lambda: not self.in_flight, timeout_seconds)
            self.changed.wait_for(lambda: not any(self.in_flight.values()), PUBLISH_SECONDS)
            for frame in list(self.in_flight):
                self.count(frame, 'abandoned')

    def count(self, frame: Frame, outcome: str) -> None:
        """Add one to a counter and forget the frame; the lock is held."""
        counts = self.counts[frame.source]
        setattr(counts, outcome, getattr(counts, outcome) + 1)
        if outcome in (*UNUSABLE, 'published'):
            counts.in_a_row = counts.in_a_row + 1 if outcome in UNUSABLE else 0
        del self.in_flight[frame]
        self.schedule.settle(frame, outcome, self.clock())
        self.moved_seconds = self.clock()
        self.changed.notify_all()

    def stored(self) -> list[Frame]:
        """Return the frames in the slots; the lock is held."""
        return [frame for frame in self.slots.values() if frame is not None]

    def next_up(self) -> list[Frame]:
        """Return the frames that wait and whose cameras are due their share."""
        with self.changed:
            return self.schedule.due_their_share(self.stored())

    def is_publishing(self, camera: str) -> bool:
        """Tell whether a frame of a camera is being published; the lock is held."""
        return any(has_begun and frame.source == camera
                   for frame, has_begun in self.in_flight.items())

    def has_work(self) -> bool:
        """Tell whether any frame waits or is being segmented; the lock is held."""
        return bool(self.in_flight) or any(self.slots.values())

    def stuck_seconds(self) -> float:
        """Return for how long frames have waited without one being taken or settled."""
        with self.changed:
            return self.clock() - self.moved_seconds if self.has_work() else 0.0

    def running_seconds(self) -> float:
        """Return how long ago the oldest frame being segmented arrived; 0 without one."""
        with self.changed:
            return max((self.clock() - frame.arrived_seconds for frame in self.in_flight),
                       default=0.0)

    def counters(self, camera: str) -> Counters:
        """Return a copy of a camera's counters, taken at one instant."""
        with self.changed:
            return Counters(**vars(self.counts[camera]))
