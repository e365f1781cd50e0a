# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One DiagnosticStatus without ROS: how it becomes a message of rclpy or of rosbags, and back.

Message types are arguments, as in fields.py. The names here are a public interface: programs that
read /diagnostics or ~/timing rely on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparse_seg_ros.texts import LONG, cut

ONLY_CAMERA = 'camera'  # the name of a camera that has no namespace
LEVELS = ('OK', 'WARN', 'ERROR', 'STALE')  # by their numbers in DiagnosticStatus
AFTER_NODE = ': '
MILLISECONDS = ' ms'
AGE, REFINED = 'age s', 'refined'  # of one frame, beside its times
ON_TIME, DEGRADED, BUDGET, SLACK = 'on time', 'degraded', 'budget', 'slack ms'  # of deadlines
STEP = 'step'  # of stream/recovery.py, by which a frame was segmented
FALLBACK = 'fallback'  # of the engine: why torch runs in its place


@dataclass(frozen=True)
class Status:
    """One DiagnosticStatus: level is its name, OK, WARN, ERROR or STALE."""

    task: str
    level: str
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


def diagnostic_array(types: Any, header: Any, node: str, statuses: Iterable[Status]) -> Any:
    """Statuses of a node, by its full name -> DiagnosticArray; types: of diagnostic_msgs.msg."""
    return types.DiagnosticArray(header=header, status=[
        types.DiagnosticStatus(
            level=getattr(types.DiagnosticStatus, status.level),
            name=f'{node}{AFTER_NODE}{status.task}',
            message=cut(status.message, LONG), hardware_id=node,
            values=[types.KeyValue(key=key, value=cut(str(value), LONG))
                    for key, value in status.values.items()])
        for status in statuses])


def frame_facts(density: float) -> dict[str, Any]:
    """Fraction of refined pixels -> what the status of a frame has beside its times."""
    return {REFINED: round(density, 5)}


def deadline_facts(is_on_time: bool, is_degraded: bool, budget: float, slack_seconds: float
                   ) -> dict[str, Any]:
    """
    Return what the status of a frame with a deadline has beside those of others.

    budget: not-a-number, and left out, of a model without one.
    """
    facts = {ON_TIME: str(is_on_time).lower(), DEGRADED: str(is_degraded).lower(),
             SLACK: f'{slack_seconds * 1e3:.3f}'}
    return facts if math.isnan(budget) else {**facts, BUDGET: round(budget, 5)}


def read_array(message: Any) -> list[Status]:
    """DiagnosticArray -> its statuses; the values are texts now."""
    return [Status(each.name.partition(AFTER_NODE)[2], LEVELS[level_number(each.level)],
                   each.message, {pair.key: pair.value for pair in each.values})
            for each in message.status]


def level_number(level: bytes | int) -> int:
    """Return a level as a number: rclpy has it as one byte, rosbags as a number."""
    return level[0] if isinstance(level, bytes) else int(level)


def milliseconds_key(name: str) -> str:
    """Name of a stage -> the key of its time."""
    return name + MILLISECONDS


def read_milliseconds(status: Status) -> dict[str, float]:
    """Status -> all its times by name; undoes milliseconds_key(). Slack was spent on nothing."""
    return {key.removesuffix(MILLISECONDS): float(value) for key, value in status.values.items()
            if key.endswith(MILLISECONDS) and key != SLACK}


def frame_status(camera: str, milliseconds: Mapping[str, float], facts: Mapping[str, Any]
                 ) -> Status:
    """Stage times of one frame and more facts -> the status in ~/timing."""
    times = {milliseconds_key(stage): f'{spent:.3f}' for stage, spent in milliseconds.items()}
    return Status(f'{camera} timing', 'OK', f"{milliseconds['total']:.1f} ms",
                  {**times, **facts})
