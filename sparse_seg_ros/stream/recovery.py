# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is tried when the model fails on a frame, for how long, and when the node gives up.

A frame is tried as asked, once more, by the dense stage alone, and with the limits of the last
frame that was published. A frame that only a lower step could segment keeps the next ones of its
camera on that step for a while, or until the limits change; then one is tried as asked again.
Where no step helps, the frame has failed.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sparse_seg_ros.data.frame import UnusableImageError
from sparse_seg_ros.texts import describe_error

if TYPE_CHECKING:
    from sparse_seg_ros.methods.request import Limits
    from sparse_seg_ros.prediction import Prediction

ASKED, AGAIN, DENSE, LAST_GOOD = (
    'as asked', 'second try', 'dense only', 'last good limits')  # the steps, in their order
KEPT = (DENSE, LAST_GOOD)  # steps that the next frames stay on
# One odd frame costs at most a second of refinement at 5 Hz. Where each return to refinement fails
# at once, its failed tries should cost little: a frame in 160 at last, every 5 to 30 s.
FIRST_HOLD, LONGEST_HOLD = 5, 160  # frames on a lower step; doubled when the return fails
# A few odd frames are no reason to stop, nor is a second without memory at a high rate.
MOST_FAILED, LEAST_SECONDS = 10, 5.0  # in a row, and since the first of them, to give up
MOST_DEATHS, DEATH_SECONDS = 3, 60.0  # of the thread: more within this time, to give up
OUT_OF_MEMORY = ("can't allocate memory", 'out of memory')  # in a RuntimeError of torch

LimitValues = Mapping[str, float]
Made = TypeVar('Made')


@dataclass(frozen=True)
class Recovered:
    """
    How the last frames were segmented.

    step, frames_left: a lower step that some camera is on, its name, and for how many frames more;
    recovered: frames that failed as asked and were segmented all the same; in_a_row: frames that
    no step could segment; error: what failed last, '' where nothing has.
    """

    step: str = ASKED
    frames_left: int = 0
    camera: str = ''
    recovered: int = 0
    in_a_row: int = 0
    error: str = ''


NOTHING_FAILED = Recovered()


@dataclass
class Ladder:
    """The step that the next frame of one camera begins with, for how long, for which limits."""

    step: str = ASKED
    frames_left: int = 0
    hold: int = FIRST_HOLD
    good_in_a_row: int = 0
    limits: LimitValues | None = None

    def first_step(self, limits: LimitValues) -> str:
        """Return the step that a frame begins with: as asked, where the limits are new."""
        if limits != self.limits:
            self.limits, self.frames_left, self.hold = dict(limits), 0, FIRST_HOLD
        return self.step if self.frames_left else ASKED

    def note_good(self, first: str, step: str) -> None:
        """Choose the next step after a frame that began with one and was segmented by another."""
        is_held = self.frames_left and step == self.step  # perhaps by another thread meanwhile
        if step in KEPT and step != first and not is_held:
            self.step, self.frames_left = step, self.hold
            self.hold = min(2 * self.hold, LONGEST_HOLD)
        elif is_held:
            self.frames_left -= 1
        self.good_in_a_row = self.good_in_a_row + 1 if step == ASKED else 0
        if self.good_in_a_row >= LONGEST_HOLD:  # as long as the longest stay below
            self.hold = FIRST_HOLD

    def note_failed(self) -> None:
        """Begin with the frame after one that no step could segment as asked."""
        self.step, self.frames_left, self.good_in_a_row = ASKED, 0, 0


@dataclass
class Recovery:
    """
    Segments frames by the first step that works; threads may share it.

    Each camera has steps of its own, so that the frames of one degrade no other. why_stopped: why
    segmenting should end until the next activation; '' while it goes on.
    """

    ladders: dict[str, Ladder] = field(default_factory=dict)
    why_stopped: str = ''
    recovered: int = 0
    in_a_row: int = 0
    error: str = ''
    failing_since: float = 0.0
    last_good: LimitValues | None = None
    deaths: list[float] = field(default_factory=list)  # moments
    changing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> Recovered:
        """Return how the last frames were segmented, of the camera that is below the longest."""
        with self.changing:
            held = {camera: each for camera, each in self.ladders.items() if each.frames_left}
            camera = max(held, key=lambda name: held[name].frames_left, default='')
            ladder = held.get(camera, Ladder())
            return Recovered(ladder.step, ladder.frames_left, camera, self.recovered,
                             self.in_a_row, self.error)

    def restart(self) -> None:
        """Begin afresh: every frame as asked, nothing has failed yet."""
        with self.changing:
            self.ladders.clear()
            self.why_stopped, self.in_a_row = '', 0
            self.deaths.clear()

    def __call__(self, segment: Callable[[LimitValues], Prediction], limits: LimitValues,
                 known: Limits, camera: str = '', now: float | None = None
                 ) -> tuple[Prediction, str]:
        """
        Segment a frame -> its prediction and the step that made it; the last error where none can.

        segment: limits -> prediction. known: what limits the model has. now: monotonic seconds.
        """
        with self.changing:
            ladder = self.ladders.setdefault(camera, Ladder())
            first = ladder.first_step(limits)
        steps = [first, *self.steps_below(first, limits, known)]
        for step in steps:
            made = tried(partial(segment, self.limits_of(step, limits)))
            if isinstance(made, UnusableImageError):  # no fault of the model; no step would help
                raise made
            if not isinstance(made, Exception):
                self.note_good(ladder, first, step)
                return made, step
            self.error = describe_error(made)
            if step == steps[-1]:
                self.note_failed(ladder, time.monotonic() if now is None else now)
                raise made
            is_full, made = is_out_of_memory(made), None  # an error holds the tensors of its call
            if is_full:
                free_memory()
        raise AssertionError('the last step returns or raises')

    def frames_left(self, camera: str) -> int:
        """Return for how many frames a camera stays on a lower step."""
        ladder = self.ladders.get(camera)
        return ladder.frames_left if ladder else 0

    def steps_below(self, first: str, limits: LimitValues, known: Limits) -> list[str]:
        """Return the steps to try after the first has failed, each with limits of its own."""
        tried, below = [self.limits_of(first, limits)], [AGAIN] if first == ASKED else []
        for step in (DENSE, LAST_GOOD):
            wanted = self.limits_of(step, limits)
            is_possible = 'budget' in known if step == DENSE else self.last_good is not None
            if is_possible and wanted not in tried:
                tried.append(wanted)
                below.append(step)
        return below

    def limits_of(self, step: str, limits: LimitValues) -> LimitValues:
        """Return the limits that a step segments with."""
        if step == DENSE:
            return {**limits, 'budget': 0.0}
        return limits if step != LAST_GOOD or self.last_good is None else self.last_good

    def note_published(self, limits: LimitValues, step: str) -> None:
        """Keep the limits of a frame that was published as asked."""
        if step in (ASKED, AGAIN):
            self.last_good = dict(limits)

    def note_good(self, ladder: Ladder, first: str, step: str) -> None:
        """Count a frame that was segmented."""
        with self.changing:
            self.in_a_row = 0
            self.recovered += step != first
            ladder.note_good(first, step)

    def note_failed(self, ladder: Ladder, now: float) -> None:
        """Count a frame that no step could segment; give up after many in a row."""
        with self.changing:
            if not self.in_a_row:
                self.failing_since = now
            ladder.note_failed()
            self.in_a_row += 1
            if self.in_a_row >= MOST_FAILED and now - self.failing_since >= LEAST_SECONDS:
                self.why_stopped = (
                    f'the model failed on {self.in_a_row} frames in a row, whatever was tried, at '
                    f'last with {self.error}; mend the cause, then activate the node')

    def note_death(self, error: str, now: float) -> bool:
        """Count an end of the thread that segments -> whether it should be started again."""
        with self.changing:
            self.deaths = [each for each in self.deaths if now - each < DEATH_SECONDS] + [now]
            if len(self.deaths) > MOST_DEATHS:
                self.why_stopped = (
                    f'the thread that segments ended {len(self.deaths)} times in '
                    f'{DEATH_SECONDS:.0f} s, at last by {error}; mend the cause, then activate '
                    'the node')
            return not self.why_stopped


def tried(act: Callable[[], Made]) -> Made | Exception:
    """Return what a call returns, or the error that it raises: one frame never ends the rest."""
    try:
        return act()
    except Exception as error:  # whatever a model, an engine or a middleware raises
        return error


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether memory of the computer or of the GPU has run out."""
    torch = sys.modules.get('torch')
    kinds = (MemoryError, torch.cuda.OutOfMemoryError) if torch else (MemoryError,)
    return isinstance(error, kinds) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY))


def free_memory() -> None:
    """Give back what nothing uses, and what torch keeps for later."""
    gc.collect()
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
