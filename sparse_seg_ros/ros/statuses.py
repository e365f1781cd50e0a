# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The health of the node in words and numbers (REP-107), without ROS: one function per task."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparse_seg_ros.ros.newest import OUTCOMES, Counters
from sparse_seg_ros.ros.stage_times import StageTimes

WARN_SILENT_SECONDS, ERROR_SILENT_SECONDS = 2.0, 10.0
ERROR_OVERRUNS = 10
CLOCKS_DISAGREE_SECONDS = 3600.0


@dataclass(frozen=True)
class Status:
    """One DiagnosticStatus: level is its name, OK, WARN, ERROR or STALE."""

    task: str
    level: str
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


def input_status(camera: str, silent_seconds: float, why_silent: str,
                 facts: Mapping[str, Any]) -> Status:
    """Say whether images arrive, and if not, since when and why."""
    if silent_seconds < WARN_SILENT_SECONDS:
        return Status(f'{camera} input', 'OK', 'images arrive', facts)
    level = 'WARN' if silent_seconds < ERROR_SILENT_SECONDS else 'ERROR'
    return Status(f'{camera} input', level,
                  f'no image for {silent_seconds:.0f} s: {why_silent}', facts)


def frames_status(camera: str, counts: Counters, before: Counters, age: str) -> Status:
    """Count what became of the frames; warn when some were unusable since the last report."""
    bad = {name: getattr(counts, name) - getattr(before, name)
           for name in ('stale', 'invalid', 'failed')}
    words = ', '.join(f'{number} {name}' for name, number in bad.items() if number)
    values = {'received': counts.received, 'waiting': counts.waiting, 'last age s': age,
              **{name: getattr(counts, name) for name in OUTCOMES}}
    message = f'{words} since the last report, see the log' if words \
        else f'{counts.published} published'
    return Status(f'{camera} frames', 'WARN' if words else 'OK', message, values)


def timing_status(times: StageTimes, budget_milliseconds: float) -> Status:
    """Report percentiles per stage; warn while frames are over the budget."""
    values = {f'{stage} {rank} ms': spent for stage, ranks in
              times.percentiles(50, 95, 99).items() for rank, spent in ranks.items()}
    values |= {'budget ms': budget_milliseconds, 'consecutive overruns': times.overruns}
    if not times.overruns:
        total = values.get('total p95 ms')
        return Status('timing', 'OK', 'no frames yet' if total is None else
                      f'p95 {total:.0f} ms of {budget_milliseconds:.0f} ms', values)
    level = 'WARN' if times.overruns < ERROR_OVERRUNS else 'ERROR'
    return Status('timing', level, f'{times.overruns} frames in a row took longer than '
                  f'{budget_milliseconds:.0f} ms; lower budget, raise alpha_nats or '
                  'use a smaller model', values)


def engine_status(state: str, description: Mapping[str, str], error: str) -> Status:
    """Say what segments, or why nothing does."""
    if error:
        return Status('engine', 'ERROR', error, {'state': state})
    if 'fallback' in description:
        return Status('engine', 'WARN', f"{state}, on torch: {description['fallback']}",
                      {'state': state, **description})
    return Status('engine', 'OK', state, {'state': state, **description})


def memory_status() -> Status:
    """Report memory of this process now and at its peak, and of the GPU where one is used."""
    values = {'peak MiB': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    try:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        values['resident MiB'] = pages * resource.getpagesize() // 2 ** 20
    except OSError:  # not Linux
        pass
    torch = sys.modules.get('torch')  # never the one to pay for the import
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        values['GPU allocated MiB'] = torch.cuda.memory_allocated() // 2 ** 20
        values['GPU peak MiB'] = torch.cuda.max_memory_allocated() // 2 ** 20
    resident = values.get('resident MiB', values['peak MiB'])
    return Status('memory', 'OK', f'{resident} MiB resident', values)


def age_seconds(now_nanoseconds: int, stamp_nanoseconds: int) -> float | None:
    """Return the age of an image; None where the two clocks have nothing to do with another."""
    age = (now_nanoseconds - stamp_nanoseconds) / 1e9
    return age if 0 <= age <= CLOCKS_DISAGREE_SECONDS else None


def describe_age(age: float | None) -> str:
    """Return the age in words."""
    return 'n/a' if age is None else f'{age:.4f}'
