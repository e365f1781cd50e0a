# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An alarm with hysteresis: it rises after a few bad frames and falls after many good ones."""

from __future__ import annotations

from collections import deque

NEEDED, WINDOW = 3, 5  # bad frames of the last ones to rise: a single odd one means nothing
CALM = 10  # good frames in a row to fall: longer than what flickers at the edge of a bound


class Alarm:
    """
    Tells whether something holds for the frames, and from which on.

    since: stamp of the frame with which the alarm rose; None while there is none.
    """

    def __init__(self, needed: int = NEEDED, window: int = WINDOW, calm: int = CALM):
        self.needed, self.window, self.calm = needed, window, calm
        self.since: int | None = None
        self.seen = deque(maxlen=max(window, calm))

    @property
    def is_on(self) -> bool:
        """Tell whether it holds now."""
        return self.since is not None

    def note(self, is_bad: bool, stamp: int = 0) -> None:
        """Count a frame."""
        self.seen.append(is_bad)
        latest = list(self.seen)
        if not self.is_on and sum(latest[-self.window:]) >= self.needed:
            self.since = stamp
        elif self.is_on and len(latest) >= self.calm \
                and not any(latest[-self.calm:]):
            self.since = None
