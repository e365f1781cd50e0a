# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The health of the node in words and numbers (REP-107), without ROS: one function per task.

Tasks, keys and states are a public interface, like those of messages/status.py. Messages are for
people; everything that a program needs has a key.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparse_seg_ros.messages.status import (
    FALLBACK,
    ONLY_CAMERA,
    STEP,
    Status,
    milliseconds_key,
)
from sparse_seg_ros.stream.recovery import ASKED, NOTHING_FAILED, Recovered
from sparse_seg_ros.stream.slots import OUTCOMES, Counters, LatestFrameSlots
from sparse_seg_ros.stream.stage_times import StageTimes

ENGINE, TIMING, MEMORY, NODE = 'engine', 'timing', 'memory', 'node'  # tasks; see input_task()
UNCONFIGURED, LOADING, INACTIVE, ACTIVE, FINALIZED = (
    'unconfigured', 'loading', 'inactive', 'active', 'finalized')
STATE, THREADS, ENABLED = 'state', 'torch threads', 'enabled'
TOPIC, IMAGE, RATE, PUBLISHERS, RELIABILITY = (
    'topic', 'image', 'rate Hz', 'publishers', 'reliability')
RECEIVED, WAITING, LAST_AGE, LAST_LOSS = 'received', 'waiting', 'last age s', 'last loss'
COUNTERS = (RECEIVED, WAITING, *OUTCOMES)
OVERRUNS = 'consecutive overruns'
ERRORS, LAST_ERROR, DEATHS = 'callback errors', 'last error', 'worker deaths'
FRAMES_LEFT, RECOVERED, LAST_FAILURE = 'frames left on the step', 'recovered', 'last failure'
PEAK, RESIDENT, GPU_ALLOCATED, GPU_PEAK = (
    'peak MiB', 'resident MiB', 'GPU allocated MiB', 'GPU peak MiB')

WARN_SILENT_SECONDS, ERROR_SILENT_SECONDS = 2.0, 10.0
ERROR_STUCK_SECONDS = 10.0  # for which frames wait and nothing becomes of any
RECENT_SECONDS = 5.0  # what happened longer ago is no news
ERROR_IN_A_ROW = 10  # overruns, or frames that could not be segmented
HIGHEST_LEVELS = ('ERROR', 'WARN')


def input_task(camera: str = ONLY_CAMERA) -> str:
    """Return the task that says whether images of a camera arrive."""
    return f'{camera} input'


def frames_task(camera: str = ONLY_CAMERA) -> str:
    """Return the task that counts what became of the frames of a camera."""
    return f'{camera} frames'


def read_counters(status: Status) -> dict[str, int]:
    """Undo frames_status() -> 'received', 'waiting' and each outcome: number of frames."""
    return {name: int(status.values[name]) for name in COUNTERS}


def describe_counters(slots: LatestFrameSlots) -> str:
    """Return what has become of the frames of every camera, on one line."""
    counters = {camera: slots.counters(camera) for camera in slots.counts}
    return '; '.join(f'{camera}: ' + ', '.join(f'{getattr(counts, name)} {name}'
                                               for name in COUNTERS)
                     for camera, counts in counters.items())


def input_status(camera: str, silent_seconds: float, why_silent: str,
                 facts: Mapping[str, Any], idle: str = '', has_images: bool = True
                 ) -> Status:
    """
    Say whether images arrive, and if not, since when and why.

    idle: why none is taken, 'not active' or 'disabled'; has_images: whether any has come since
    the node became active.
    """
    if idle:
        return Status(input_task(camera), 'OK', f'{idle}, so no images are taken', facts)
    if silent_seconds < WARN_SILENT_SECONDS:
        return Status(input_task(camera), 'OK',
                      'images arrive' if has_images else 'waiting for the first image', facts)
    level = 'WARN' if silent_seconds < ERROR_SILENT_SECONDS else 'ERROR'
    return Status(input_task(camera), level,
                  f'no image for {silent_seconds:.0f} s: {why_silent}', facts)


def rate_hz(arrivals: Sequence[float], now: float) -> float:
    """Moments of the last images, in seconds -> images per second; 0 where they stay away."""
    recent = [each for each in arrivals if now - each <= ERROR_SILENT_SECONDS]
    if len(recent) < 2:
        return 0.0
    period = (recent[-1] - recent[0]) / (len(recent) - 1)
    if now - recent[-1] > max(WARN_SILENT_SECONDS, 3 * period):
        return 0.0
    return 1 / max(period, 1e-9)


def frames_status(camera: str, counts: Counters, before: Counters, facts: Mapping[str, Any],
                  stuck_seconds: float = 0.0) -> Status:
    """
    Count what became of the frames.

    before: the counters some seconds ago; frames unusable since then are a warning, and many in
    a row an error, as is a frame that waits while nothing becomes of any. facts: about the last
    frames.
    """
    bad = {name: getattr(counts, name) - getattr(before, name)
           for name in ('stale', 'invalid', 'failed')}
    words = ', '.join(f'{number} {name}' for name, number in bad.items() if number)
    values = {RECEIVED: counts.received, WAITING: counts.waiting, **facts,
              **{name: getattr(counts, name) for name in OUTCOMES}}
    if counts.waiting and stuck_seconds > ERROR_STUCK_SECONDS:
        return Status(frames_task(camera), 'ERROR', f'{counts.waiting} waiting, and nothing has '
                      f'become of any frame for {stuck_seconds:.0f} s: the model hangs; clean '
                      'up and configure the node', values)
    if not words:
        return Status(frames_task(camera), 'OK', f'{counts.published} published', values)
    words += f' in the last {RECENT_SECONDS:.0f} s, see the log'
    if counts.in_a_row < ERROR_IN_A_ROW:
        return Status(frames_task(camera), 'WARN', words, values)
    return Status(frames_task(camera), 'ERROR',
                  f'{words}; none of the last {counts.in_a_row} could be segmented', values)


def timing_status(times: StageTimes, budget_milliseconds: float, running_seconds: float = 0.0,
                  silent_seconds: float = 0.0) -> Status:
    """
    Report percentiles per stage; warn while frames are over the budget.

    running_seconds: of the frame being segmented, which may be over it already; silent_seconds:
    since the last frame.
    """
    values = {milliseconds_key('budget'): budget_milliseconds,
              milliseconds_key('running'): round(running_seconds * 1e3)}
    if not running_seconds and silent_seconds > RECENT_SECONDS:
        return Status(TIMING, 'OK', 'no recent frames', values)
    overruns = times.overruns + (running_seconds * 1e3 > budget_milliseconds)
    values |= {milliseconds_key(f'{stage} {rank}'): spent for stage, ranks in
               times.percentiles(50, 95, 99).items() for rank, spent in ranks.items()}
    values[OVERRUNS] = overruns
    if not overruns:
        totals = list(times.times.get('total', ()))
        return Status(TIMING, 'OK', f'the last frame took {totals[-1]:.0f} of '
                      f'{budget_milliseconds:.0f} ms' if totals else 'no frames yet', values)
    is_error = overruns >= ERROR_IN_A_ROW or running_seconds > ERROR_STUCK_SECONDS
    return Status(TIMING, 'ERROR' if is_error else 'WARN', describe_overruns(
        overruns, running_seconds, budget_milliseconds), values)


def describe_overruns(overruns: int, running_seconds: float, budget_milliseconds: float) -> str:
    """Say what takes too long, and what to do."""
    if running_seconds > RECENT_SECONDS:
        return f'a frame has been running for {running_seconds:.0f} s'
    frames = f'{overruns} frames in a row' if overruns > 1 else 'the last frame'
    return (f'{frames} took longer than {budget_milliseconds:.0f} ms; lower '
            'budget, raise alpha or use a smaller model')


def node_status(deaths: Sequence[str], errors: Mapping[str, Any], rivals: str,
                recovered: Recovered = NOTHING_FAILED, dead: int = 0, why_stopped: str = ''
                ) -> Status:
    """
    Say what goes wrong in the node beside the frames.

    deaths: errors that ended the thread that segments; errors: 'callback errors' so far, 'recent'
    ones and the 'last error'; rivals: other nodes that are taken for this one, in words;
    recovered: how the last frames were segmented. dead: the number of threads that have ended and
    are not started again yet, or never where there is a why_stopped.
    """
    problems = []
    if recovered.step != ASKED:
        problems.append(('WARN', f'the next {recovered.frames_left} frames of {recovered.camera} '
                         f'are segmented by {recovered.step!r}, since one failed as asked: '
                         f'{recovered.error}'))
    if deaths:
        often = f'{len(deaths)} times, ' if len(deaths) > 1 else ''
        is_over = dead > 0 and bool(why_stopped)
        now = ('stays ended until the node is activated again' if is_over else
               'is about to be started again' if dead else 'was started again')
        problems.append(('ERROR' if is_over else 'WARN',
                         f'the thread that segments ended {often}and {now} ({deaths[-1]})'))
    if errors['recent']:
        problems.append(('WARN', f"{errors['recent']} callbacks failed in the last "
                         f"{RECENT_SECONDS:.0f} s, see the log: {errors[LAST_ERROR]}"))
    if rivals:
        problems.append(('WARN', rivals))
    level = min((level for level, _ in problems), key=HIGHEST_LEVELS.index, default='OK')
    values = {ERRORS: errors[ERRORS], LAST_ERROR: errors[LAST_ERROR], DEATHS: len(deaths),
              STEP: recovered.step, FRAMES_LEFT: recovered.frames_left,
              RECOVERED: recovered.recovered, LAST_FAILURE: recovered.error or 'none'}
    return Status(NODE, level, '; '.join(text for _, text in problems) or 'no problems', values)


def engine_status(state: str, description: Mapping[str, str], error: str) -> Status:
    """Say what segments, or why nothing does."""
    if error:
        return Status(ENGINE, 'ERROR', error, {STATE: state})
    if FALLBACK in description:
        return Status(ENGINE, 'WARN', f'{state}, on torch: {description[FALLBACK]}',
                      {STATE: state, **description})
    is_disabled = description.get(ENABLED) == 'false'
    return Status(ENGINE, 'OK', f'{state}, disabled by ~/set_enabled' if is_disabled else state,
                  {STATE: state, **description})


def memory_status(has_model: bool = False) -> Status:
    """
    Report memory of this process now and at its peak, and of the GPU where one is used.

    has_model: whether one is loaded; before, torch may be half imported.
    """
    values = {PEAK: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    try:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        values[RESIDENT] = pages * resource.getpagesize() // 2 ** 20
    except OSError:  # not Linux
        pass
    torch = sys.modules.get('torch') if has_model else None  # never the one to import it
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        values[GPU_ALLOCATED] = torch.cuda.memory_allocated() // 2 ** 20
        values[GPU_PEAK] = torch.cuda.max_memory_allocated() // 2 ** 20
    resident = values.get(RESIDENT, values[PEAK])
    return Status(MEMORY, 'OK', f'{resident} MiB resident', values)
