# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which images are too old to be of use, and when an image is due.

If the stamp of an image does not tell its age, the reason is given together with its cure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sparse_seg_ros.data.frame import Frame

OLDEST_SECONDS = 3600.0  # older by its stamp: the clocks have nothing to do with each other
AHEAD_SECONDS = 0.5  # simulated time ticks, and clocks of two machines differ a little
KEEP_ALL = 'set max_age_seconds to 0.0, which keeps all images'
BAG = 'for a bag set use_sim_time to true and play it with --clock'


@dataclass(frozen=True)
class Age:
    """Seconds since an image was taken; None, with the reason and its cure, where unknown."""

    seconds: float | None = None
    why_unknown: str = 'no image yet'

    @property
    def figure(self) -> str:
        """The seconds as text, or n/a."""
        return 'n/a' if self.seconds is None else f'{self.seconds:.4f}'

    def __str__(self):
        return f'n/a: {self.why_unknown}' if self.seconds is None else self.figure


def find_age(now_nanoseconds: int, stamp_nanoseconds: int, is_simulated: bool) -> Age:
    """Compare the clock of the node with the stamp of an image."""
    seconds = (now_nanoseconds - stamp_nanoseconds) / 1e9
    if is_simulated and now_nanoseconds == 0:
        return Age(None, 'use_sim_time is true, but no time arrives on /clock; play the bag with '
                   '--clock, or set use_sim_time to false')
    if stamp_nanoseconds == 0:
        return Age(None, f'the stamp is zero; let the camera driver stamp its images, or '
                   f'{KEEP_ALL}')
    if seconds < -AHEAD_SECONDS:
        return Age(None, f'the stamp is {describe_span(-seconds)} ahead of the clock; '
                   f'{cure_clocks(is_simulated)}')
    if seconds > OLDEST_SECONDS:
        cure = cure_clocks(True) if is_simulated else f'{BAG}, or {KEEP_ALL}'
        return Age(None, f'the stamp is {describe_span(seconds)} behind the clock; {cure}')
    return Age(max(seconds, 0.0), '')


@dataclass(frozen=True)
class Deadlines:
    """
    How long after its stamp, or its arrival, a frame of each camera should be published.

    seconds: by camera; those not named have no deadline. now: nanoseconds of the clock that makes
    the stamps, and whether it is simulated. A frame of unknown age counts from its arrival, and so
    does one with a stamp after that, whose clock is a little ahead.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    from_stamp: bool = True

    def due(self, frame: Frame, now: Callable[[], tuple[int, bool]],
            clock: Callable[[], float] = time.monotonic) -> float:
        """Return the monotonic seconds when a frame is due; infinite without a deadline."""
        seconds = self.seconds.get(frame.source, math.inf)
        if self.from_stamp and seconds < math.inf:
            nanoseconds, is_simulated = now()
            age = find_age(nanoseconds, frame.stamp, is_simulated)
            if age.seconds is not None:
                return min(clock() - age.seconds, frame.arrived_seconds) + seconds
        return frame.arrived_seconds + seconds


def cure_clocks(is_simulated: bool) -> str:
    """Say what to do about a stamp that is of another clock."""
    if is_simulated:
        return ('a few such images are normal where a bag starts again; otherwise let stamps and '
                f'/clock come from the same bag, or {KEEP_ALL}')
    return f'synchronise the clocks of camera and node (NTP or PTP), or {KEEP_ALL}'


def why_stale(age: Age, most_seconds: float, is_simulated: bool, own_seconds: float = 0.0) -> str:
    """
    Say why an image is of no use, and what to do; '' for a fresh one, or if all are kept.

    own_seconds: that it has spent in the node.
    """
    if not most_seconds:
        return ''
    if age.seconds is None:
        return f'its age is unknown: {age.why_unknown}'
    if age.seconds <= most_seconds:
        return ''
    old = f'{age.seconds:.2f} s old, older than max_age_seconds {most_seconds}'
    if is_simulated:
        cure = 'play the bag with a lower --rate'
    elif age.seconds - own_seconds <= most_seconds:
        cure = f'it spent {own_seconds:.2f} s in this node: lower budget, use a smaller model'
    else:
        cure = f'{BAG}; for a camera look for a slow link or another clock'
    return f'{old}; {cure}, or raise max_age_seconds'


def describe_span(seconds: float) -> str:
    """Seconds -> a few characters in the unit that suits them."""
    for unit, length in (('days', 86400), ('h', 3600)):
        if seconds >= 2 * length:
            return f'{seconds / length:.0f} {unit}'
    return f'{seconds:.1f} s'
