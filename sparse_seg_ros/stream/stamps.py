# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps of one camera that repeat or jump, which no clock of the node is needed to see."""

from __future__ import annotations

from collections import deque

JUMP_SECONDS = 1.0  # ahead of the arrivals; slow links and full queues do not reach it on and on
COMPARED = 5  # frames before: one that came late is no reason to call the next one a jump
NEWS_SECONDS = 5.0  # for which a jump is told; diagnostics come once a second


class Stamps:
    """
    Compares each stamp with those before and with the moments of arrival.

    step_seconds: between the last two stamps. jumps: their number.
    """

    def __init__(self):
        self.before: deque[tuple[float, float]] = deque(maxlen=COMPARED)  # stamp and arrival, s
        self.step_seconds, self.jumps, self.jumped_seconds = 0.0, 0, None

    def note(self, stamp: int, arrived_seconds: float) -> None:
        """Take the next frame; a stamp of 0 tells nothing."""
        if not stamp:
            return
        seconds = stamp / 1e9
        if self.before:
            self.step_seconds = seconds - self.before[-1][0]
            if self.step_seconds < 0 or self.is_ahead(seconds, arrived_seconds):
                self.jumps, self.jumped_seconds = self.jumps + 1, arrived_seconds
                self.before.clear()
        self.before.append((seconds, arrived_seconds))

    def is_ahead(self, seconds: float, arrived_seconds: float) -> bool:
        """Tell whether a stamp is ahead of what all frames before let expect."""
        (first, came), (last, came_last) = self.before[0], self.before[-1]
        rate = max(1.0, (last - first) / max(came_last - came, 1e-3))  # above 1 for a fast replay
        return all(seconds - stamp - rate * (arrived_seconds - arrived) > JUMP_SECONDS
                   for stamp, arrived in self.before)

    def is_repeated(self) -> bool:
        """Tell whether the last two stamps are the same."""
        return len(self.before) > 1 and self.step_seconds == 0

    def has_jumped(self, now: float) -> bool:
        """Tell whether there was a jump a short while ago; now: monotonic seconds."""
        return self.jumped_seconds is not None and now - self.jumped_seconds < NEWS_SECONDS
