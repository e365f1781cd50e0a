# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which camera is served next: weighted shares of the service time, urgent frames first.

Start-time fair queueing (Goyal, Vin and Cheng 1996). Every camera has a virtual clock, which its
frames move by the time that they took, divided by its weight. Cameras within a frame of the
furthest behind are due their share; of these, the earliest deadline is served first. A camera
that floods only moves its own clock. A frame that turns out to be no image costs its camera what
it took to see that, and no turn. A camera that was silent has no claim to what it left to others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sparse_seg_ros.data.frame import Frame

LEAST_SECONDS = 1e-3  # that a frame costs its camera
MOST_SECONDS, MOST_TIMES = 1.0, 10.0  # or times its last frame: what took longer was a hang


def no_deadline(frame: Frame) -> float:
    """Return the moment when a frame without a deadline is due."""
    return math.inf


@dataclass(frozen=True)
class Rules:
    """
    What holds from the next frame on, for cameras by name.

    weights: share of the service time, 1 where not named. max_hz: most frames a second; 0 or not
    named: no limit. due: frame -> monotonic seconds when it should be published.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    max_hz: Mapping[str, float] = field(default_factory=dict)
    due: Callable[[Frame], float] = no_deadline


@dataclass
class Account:
    """
    One camera: its virtual clock, the seconds of its last frame, and when it was served last.

    next_seconds: when its rate allows the next frame.
    """

    virtual_seconds: float = 0.0
    cost_seconds: float = LEAST_SECONDS
    turn: int = 0
    next_seconds: float = 0.0


class FairSchedule:
    """The accounts of all cameras; its caller holds a lock. read_rules: called for each frame."""

    def __init__(self, cameras: Iterable[str], read_rules: Callable[[], Rules] = Rules):
        self.accounts = {camera: Account() for camera in cameras}
        self.read_rules = read_rules
        self.rules = read_rules()
        self.virtual_seconds, self.turns = 0.0, 0
        self.taken: dict[Frame, tuple[float, float]] = {}  # when, and the virtual seconds charged

    def admits(self, frame: Frame) -> bool:
        """
        Tell whether the rate of a camera allows a frame, and count it as one.

        The rate holds on average, whatever the rate of the camera: a frame that comes later than
        the limit allows lets the next one come earlier by as much, unless one was left out. What a
        lower limit had put off for longer comes at once.
        """
        self.rules, account = self.read_rules(), self.accounts[frame.source]
        max_hz = self.rules.max_hz.get(frame.source, 0.0)
        if not max_hz:
            return True
        behind, period = frame.arrived_seconds - account.next_seconds, 1 / max_hz
        if -period - 1e-9 < behind < -1e-9:
            return False
        account.next_seconds += period + (behind if abs(behind) >= period else 0.0)
        return True

    def due_their_share(self, waiting: Collection[Frame]) -> list[Frame]:
        """Return the frames whose cameras are within one frame of the furthest behind."""
        if len(waiting) < 2:
            return [*waiting]
        starts = {frame: self.start_of(frame.source) for frame in waiting}
        longest = max(self.share_of(frame.source) for frame in waiting)
        limit = min(starts.values()) + longest
        return [frame for frame, start in starts.items() if start < limit]

    def take(self, waiting: Collection[Frame], now: float) -> Frame | None:
        """Choose the next frame of those that wait, and charge its camera; None without one."""
        self.rules = self.read_rules()
        chosen = min(self.due_their_share(waiting), default=None, key=lambda frame: (
            self.rules.due(frame), self.start_of(frame.source), self.accounts[frame.source].turn))
        if chosen is None:
            return None
        start, charge = self.start_of(chosen.source), self.share_of(chosen.source)
        self.virtual_seconds = max(self.virtual_seconds, min(
            self.start_of(frame.source) for frame in waiting))
        self.turns += 1
        account = self.accounts[chosen.source]
        account.virtual_seconds, account.turn = start + charge, self.turns
        self.taken[chosen] = now, charge
        return chosen

    def settle(self, frame: Frame, outcome: str, now: float) -> None:
        """Charge a camera what its frame has really taken, of a hang only so much."""
        started, charge = self.taken.pop(frame)
        account = self.accounts[frame.source]
        most = max(MOST_SECONDS, MOST_TIMES * account.cost_seconds)
        spent = min(max(now - started, LEAST_SECONDS), most)
        account.virtual_seconds += spent / self.weight_of(frame.source) - charge
        if outcome == 'published':
            account.cost_seconds = spent
        elif outcome == 'invalid' and (max_hz := self.rules.max_hz.get(frame.source, 0.0)):
            account.next_seconds -= 1 / max_hz

    def weight_of(self, camera: str) -> float:
        """Return the weight of a camera."""
        return self.rules.weights.get(camera, 1.0)

    def share_of(self, camera: str) -> float:
        """Return how far a frame of a camera is expected to move its clock."""
        return self.accounts[camera].cost_seconds / self.weight_of(camera)

    def start_of(self, camera: str) -> float:
        """Return the virtual clock of a camera; one that was silent is behind by one frame."""
        account = self.accounts[camera]
        return max(account.virtual_seconds, self.virtual_seconds - self.share_of(camera))
