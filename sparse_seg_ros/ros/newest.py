# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One slot per camera: the newest frame wins, every other is counted with its reason.

    received = published + superseded + stale + invalid + failed + abandoned + waiting

holds at any time, where waiting counts the frames in a slot or being segmented; after close()
there are none: those that it could not wait for are abandoned. No ROS here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

OUTCOMES = ('published', 'superseded', 'stale', 'invalid', 'failed', 'abandoned')
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
    in_a_row: int = 0

    @property
    def settled(self) -> int:
        """Number of frames whose outcome is known."""
        return sum(getattr(self, outcome) for outcome in OUTCOMES)

    @property
    def waiting(self) -> int:
        """Number of frames in the slot or being segmented."""
        return self.received - self.settled


@dataclass(frozen=True)
class Frame:
    """A message of one camera and the monotonic second of its arrival."""

    camera: str
    message: Any
    arrived_seconds: float


class Newest:
    """Slots of several cameras, filled by callbacks and emptied in turn by one worker."""

    def __init__(self, cameras: Iterable[str]):
        self.slots: dict[str, Frame | None] = dict.fromkeys(cameras)
        self.counts = {camera: Counters() for camera in self.slots}
        self.changed = threading.Condition()
        self.in_flight: Frame | None = None
        self.is_publishing = False
        self.moved_seconds = time.monotonic()  # when the worker last took or settled a frame
        self.turn = list(self.slots)
        self.is_open = False

    def open(self) -> None:
        """Let frames in."""
        with self.changed:
            self.is_open = True

    def put(self, camera: str, message: Any) -> bool:
        """Store the newest frame of a camera; False, and not counted, while closed."""
        frame = Frame(camera, message, time.monotonic())
        with self.changed:
            if not self.is_open:
                return False
            if not self.has_work():
                self.moved_seconds = frame.arrived_seconds
            self.counts[camera].received += 1
            if self.slots[camera] is not None:
                self.counts[camera].superseded += 1
            self.slots[camera] = frame
            self.changed.notify_all()
            return True

    def take(self, timeout_seconds: float | None = None) -> Frame | None:
        """Wait for a frame, of the camera served least recently; None after the timeout."""
        with self.changed:
            self.changed.wait_for(lambda: any(self.slots.values()), timeout_seconds)
            for camera in self.turn:
                frame, self.slots[camera] = self.slots[camera], None
                if frame is not None:
                    self.turn = [*(other for other in self.turn if other != camera), camera]
                    self.in_flight, self.moved_seconds = frame, time.monotonic()
                    return frame
            return None

    def begin_publishing(self, frame: Frame) -> bool:
        """Tell whether a frame may still be published; close() waits for it from here on."""
        with self.changed:
            if self.in_flight is not frame:
                return False
            self.is_publishing = True
            return True

    def settle(self, frame: Frame, outcome: str) -> None:
        """Count what became of a frame taken; one that close() abandoned is counted already."""
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}; got {outcome!r}")
        with self.changed:
            if self.in_flight is frame:
                self.count(frame, outcome)

    def close(self, timeout_seconds: float = 0.0) -> None:
        """Let no frame in, wait for the one being segmented; what is left is abandoned."""
        with self.changed:
            self.is_open = False
            for camera, frame in self.slots.items():
                if frame is not None:
                    self.slots[camera] = None
                    self.counts[camera].abandoned += 1
            self.changed.wait_for(lambda: self.in_flight is None, timeout_seconds)
            if self.is_publishing:
                self.changed.wait_for(lambda: self.in_flight is None, PUBLISH_SECONDS)
            if self.in_flight is not None:
                self.count(self.in_flight, 'abandoned')

    def count(self, frame: Frame, outcome: str) -> None:
        """Add one to a counter and forget the frame; the lock is held."""
        counts = self.counts[frame.camera]
        setattr(counts, outcome, getattr(counts, outcome) + 1)
        if outcome in (*UNUSABLE, 'published'):
            counts.in_a_row = counts.in_a_row + 1 if outcome in UNUSABLE else 0
        self.in_flight, self.is_publishing = None, False
        self.moved_seconds = time.monotonic()
        self.changed.notify_all()

    def has_work(self) -> bool:
        """Tell whether any frame waits or is being segmented; the lock is held."""
        return self.in_flight is not None or any(self.slots.values())

    def stuck_seconds(self) -> float:
        """Return for how long frames have waited without one being taken or settled."""
        with self.changed:
            return time.monotonic() - self.moved_seconds if self.has_work() else 0.0

    def running_seconds(self) -> float:
        """Return how long ago the frame being segmented arrived; 0 without one."""
        with self.changed:
            return 0.0 if self.in_flight is None else \
                time.monotonic() - self.in_flight.arrived_seconds

    def counters(self, camera: str) -> Counters:
        """Return a copy of a camera's counters, taken at one instant."""
        with self.changed:
            return Counters(**vars(self.counts[camera]))
