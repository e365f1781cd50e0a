# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is tried when the model fails on a frame, for how long, and when the node gives up.

A frame is tried as asked, once more, by the dense stage alone, and with the limits of the last
frame that was published. A frame that only a lower step could segment keeps the next ones on that
step for a while; then one is tried as asked again. Where no step helps, the frame has failed.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class Recovered:
    """How the last frames were segmented; error: what failed last, '' where nothing has."""

    step: str = ASKED
    frames_left: int = 0  # that stay on the step
    recovered: int = 0  # frames that failed as asked and were segmented all the same
    in_a_row: int = 0  # frames that no step could segment
    error: str = ''


NOTHING_FAILED = Recovered()


@dataclass
class Recovery:
    """
    Segments frames by the first step that works; threads may share it.

    why_stopped: why segmenting should end until the next activation; '' while it goes on.
    """

    state: Recovered = NOTHING_FAILED
    why_stopped: str = ''
    hold: int = FIRST_HOLD
    good_in_a_row: int = 0
    failing_since: float = 0.0
    last_good: LimitValues | None = None
    deaths: list[float] = field(default_factory=list)  # moments
    changing: threading.Lock = field(default_factory=threading.Lock)

    def restart(self) -> None:
        """Begin afresh: every frame as asked, nothing has failed yet."""
        with self.changing:
            self.state = Recovered(recovered=self.state.recovered, error=self.state.error)
            self.why_stopped, self.hold, self.good_in_a_row = '', FIRST_HOLD, 0
            self.deaths.clear()

    def __call__(self, segment: Callable[[LimitValues], Prediction], limits: LimitValues,
                 known: Limits, now: float | None = None) -> tuple[Prediction, str]:
        """
        Segment a frame -> its prediction and the step that made it; the last error where none can.

        segment: limits -> prediction. known: what limits the model has. now: monotonic seconds.
        """
        first = self.first_step()
        steps = [first, *self.steps_below(first, limits, known)]
        for step in steps:
            try:
                prediction = segment(self.limits_of(step, limits))
            except Exception as error:
                is_last, is_full = step == steps[-1], is_out_of_memory(error)
                self.note_error(error)
                if is_last:
                    self.note_failed(time.monotonic() if now is None else now)
                    raise
            else:
                self.note_good(step)
                return prediction, step
            if is_full:  # here, where the error no longer holds the tensors of its frames
                free_memory()
        raise AssertionError('the last step returns or raises')

    def first_step(self) -> str:
        """Return the step to begin with: a lower one while frames stay on it."""
        with self.changing:
            return self.state.step if self.state.frames_left else ASKED

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

    def note_error(self, error: Exception) -> None:
        """Keep what failed."""
        with self.changing:
            self.state = replace(self.state, error=describe_error(error))

    def note_published(self, limits: LimitValues, step: str) -> None:
        """Keep the limits of a frame that was published as asked."""
        if step in (ASKED, AGAIN):
            self.last_good = dict(limits)

    def note_good(self, step: str) -> None:
        """Count a frame that was segmented, and choose the step of the next one."""
        with self.changing:
            state = self.state
            recovered = state.recovered + (step != ASKED and not state.frames_left)
            left = state.frames_left - 1 if state.frames_left else 0
            if step in KEPT and (not state.frames_left or step != state.step):
                left = self.hold
                self.hold = min(2 * self.hold, LONGEST_HOLD)
            self.good_in_a_row = self.good_in_a_row + 1 if step == ASKED else 0
            if self.good_in_a_row >= LONGEST_HOLD:  # as long as the longest stay below
                self.hold = FIRST_HOLD
            self.state = Recovered(step if step in KEPT else ASKED, left, recovered, 0,
                                   state.error)

    def note_failed(self, now: float) -> None:
        """Count a frame that no step could segment; give up after many in a row."""
        with self.changing:
            state = self.state
            if not state.in_a_row:
                self.failing_since = now
            self.good_in_a_row = 0
            self.state = Recovered(ASKED, 0, state.recovered, state.in_a_row + 1, state.error)
            if self.state.in_a_row >= MOST_FAILED and now - self.failing_since >= LEAST_SECONDS:
                self.why_stopped = (
                    f'the model failed on {self.state.in_a_row} frames in a row, whatever was '
                    f'tried, at last with {state.error}; mend the cause, then activate the node')

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
