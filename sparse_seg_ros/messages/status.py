# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One DiagnosticStatus without ROS, and how it becomes a message of rclpy or of rosbags.

The message types come in as an argument, as in fields.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparse_seg_ros.texts import LONG, cut


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
            level=getattr(types.DiagnosticStatus, status.level), name=f'{node}: {status.task}',
            message=cut(status.message, LONG), hardware_id=node,
            values=[types.KeyValue(key=key, value=cut(str(value), LONG))
                    for key, value in status.values.items()])
        for status in statuses])


def frame_status(camera: str, milliseconds: Mapping[str, float], facts: Mapping[str, Any]
                 ) -> Status:
    """Stage times of one frame and more facts -> the status in ~/timing."""
    times = {f'{stage} ms': f'{spent:.3f}' for stage, spent in milliseconds.items()}
    return Status(f'{camera} timing', 'OK', f"{milliseconds['total']:.1f} ms",
                  {**times, **facts})
