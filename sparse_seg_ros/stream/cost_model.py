# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a frame of one size costs, learnt from the frames before it.

A frame has two parts. Until its budget is decided it is decoded and goes through the dense stage.
From there until it is published it takes a base, and more for every pixel that is refined. A frame
of which nothing is refined may take less than the base: part of an extractor may be dense. The
budget is decided between both parts, so only the noise of the second can make a frame late.
"""

from __future__ import annotations

import heapq
from collections import deque

import numpy as np

WINDOW = 400  # frames whose errors make the margin; about one in 200 exceeds the second largest
FIRST_MARGIN, ENOUGH = 0.25, 150  # added at first, and ever less until so many errors are known
FORGETTING = 0.95  # weight of what is known, after each frame: a memory of about 20 frames
UNIT = 0.05  # refined fraction that makes base and slope of similar size
DOUBT = 1e4  # variance of the first guess, of which the first frames leave nothing
FIRST_SLOPE = 60.0  # first guess: all pixels take so many times the dense stage; it is high
PROBE, GROWTH = 0.002, 2.0  # fraction refined at first, and how far above the largest so far
RECENT = 31  # frames
JUMP = 2.0  # a frame that took more than so many times its guess counts as if it took that
MOST_RATIO = 2.0  # larger errors count as this one: no margin could cover them


class Line:
    """
    base + slope * fraction, by recursive least squares with directional forgetting.

    It forgets only what a frame tells anew (Kulhavy 1987): where all fractions are equal, the
    base stays as it was learnt from others, and no doubt winds up.
    """

    def __init__(self, base: float, slope: float):
        self.values = np.array([base, slope * UNIT])
        self.doubt = np.eye(2) * DOUBT

    @property
    def slope(self) -> float:
        """Seconds for all pixels of an image; noise never makes it negative."""
        return max(float(self.values[1]) / UNIT, 1e-9)

    def __call__(self, fraction: float) -> float:
        """Return the seconds that are expected for a refined fraction."""
        return max(float(self.values[0]) + self.slope * fraction, 1e-9)

    def learn(self, fraction: float, seconds: float) -> None:
        """Take a frame into account."""
        row = np.array([1.0, fraction / UNIT])
        toward = self.doubt @ row
        spread = float(row @ toward)
        self.values += toward / (1 + spread) * (seconds - row @ self.values)
        weight = FORGETTING - (1 - FORGETTING) / spread
        self.doubt -= np.outer(toward, toward) * (weight / (1 + weight * spread))


class CostModel:
    """
    Seconds of the frames of one size.

    The margin is the second largest of the last errors, what a frame took divided by what was
    expected, so a single hiccup does not count. A fraction far above all that were refined before
    is never tried, so what is explored costs no deadline, but the one by which the base is learnt.
    step: base / what a frame takes of which nothing is refined. Machines get slower in all parts
    at once, so such frames tell the base, too.
    """

    def __init__(self):
        self.line: Line | None = None
        self.before: deque[float] = deque(maxlen=RECENT)
        self.bare: deque[float] = deque(maxlen=RECENT)  # after, where nothing was refined
        self.step = 1.0
        self.ratios: deque[float] = deque(maxlen=WINDOW)
        self.largest = 0.0

    def learn(self, before: float, fraction: float, after: float) -> None:
        """Take a frame into account: seconds before and after its budget was decided."""
        self.before.append(before)
        if not fraction:
            self.bare.append(after)
            after *= self.step
        slope = FIRST_SLOPE * before
        if self.line is None or fraction and not self.largest \
                and after > JUMP * self.line(fraction):  # the base that no frame has shown yet
            self.line = Line(after - slope * fraction, slope)
        expected = self.line(fraction)
        self.ratios.append(min(after / expected, MOST_RATIO))
        self.line.learn(fraction, min(after, JUMP * expected))
        self.largest = max(self.largest, fraction)
        if fraction and self.bare:
            self.step = max(1.0, self.line(0.0) / float(np.median(self.bare)))

    @property
    def margin(self) -> float:
        """How many times longer than expected a frame may take."""
        unknown = FIRST_MARGIN * max(0.0, 1 - len(self.ratios) / ENOUGH)
        return max(1 + unknown, min(heapq.nlargest(2, self.ratios), default=1.0))

    def affordable(self, slack_seconds: float) -> float:
        """Seconds until a frame must be published -> fraction of it that may be refined."""
        if self.line is None:
            return 0.0
        fraction = (slack_seconds / self.margin - self.line(0.0)) / self.line.slope
        return float(np.clip(fraction, 0.0, min(1.0, max(PROBE, GROWTH * self.largest))))

    def dense_seconds(self) -> float:
        """Return the seconds of a frame of which nothing is refined; 0 before the first."""
        return float(np.median(self.before)) + self.bare_seconds() if self.before else 0.0

    def bare_seconds(self) -> float:
        """Return what such a frame takes after its budget was decided; 0 before the first."""
        if self.bare:
            return float(np.median(self.bare))
        return 0.0 if self.line is None else self.line(0.0)
