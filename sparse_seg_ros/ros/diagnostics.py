# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes the health of the node: /diagnostics once a second, ~/timing with every frame."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs import msg as diagnostic_types
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from sparse_seg_ros.ros import qos, statuses
from sparse_seg_ros.ros.camera import Camera
from sparse_seg_ros.ros.messages import diagnostic_array, frame_status
from sparse_seg_ros.ros.newest import Counters
from sparse_seg_ros.ros.stage_times import StageTimes

PERIOD_SECONDS = 1.0


class Diagnostics:
    """
    Watches a SegmentationNode on a steady clock, whether frames come or not.

    The default updater of ROS is not used: it misreports rates under simulated time.
    """

    def __init__(self, node: Node):
        self.node, self.times = node, StageTimes()
        self.before: dict[str, Counters] = {}
        self.timing = node.create_publisher(diagnostic_types.DiagnosticArray, '~/timing', 10)
        self.health = node.create_publisher(diagnostic_types.DiagnosticArray, '/diagnostics', 10)
        self.timer = node.create_timer(
            PERIOD_SECONDS, self.report, clock=Clock(clock_type=ClockType.STEADY_TIME),
            callback_group=MutuallyExclusiveCallbackGroup())

    def add_frame(self, camera: Camera, message: Any, milliseconds: Mapping[str, float],
                  facts: Mapping[str, Any]) -> None:
        """Publish the times of one frame under the header of its image."""
        self.times.add(milliseconds, self.node.config.budget_milliseconds)
        self.publish(self.timing, message.header,
                     [frame_status(camera.name, milliseconds, facts)])

    def report(self) -> None:
        """Publish the state of everything."""
        header = Header(stamp=self.node.get_clock().now().to_msg())
        self.publish(self.health, header, self.collect())

    def publish(self, publisher: Any, header: Header, found: list) -> None:
        """Publish statuses under the name of the node."""
        publisher.publish(diagnostic_array(diagnostic_types, header, self.node.get_name(), found))

    def collect(self) -> list[statuses.Status]:
        """Return one status per task of ROS.md."""
        node, segmenter = self.node, self.node.segmenter  # may go while we look
        description = segmenter.description if segmenter else {}
        found = [statuses.engine_status(node.state, description, node.error),
                 statuses.timing_status(self.times, node.config.budget_milliseconds),
                 statuses.memory_status()]
        for camera in list(node.cameras.values()):
            found += self.collect_camera(camera)
        return found

    def collect_camera(self, camera: Camera) -> list[statuses.Status]:
        """Return input and frame counters of one camera."""
        publishers = camera.find_publishers()
        counts = self.node.newest.counters(camera.name)
        before = self.before.get(camera.name, Counters())
        self.before[camera.name] = counts
        facts = {'topic': camera.topic, 'image': camera.looks,
                 'rate Hz': f'{camera.rate_hz():.1f}', 'publishers': len(publishers),
                 'reliability': qos.NAMES[camera.profile.reliability]}
        is_active, worker = self.node.state == 'active', self.node.worker
        silent = time.monotonic() - camera.last_seconds if is_active else 0.0
        why = qos.why_silent(camera.topic, camera.profile, publishers, camera.message_type)
        age = statuses.describe_age(worker.ages[camera.name] if worker else None)
        return [statuses.input_status(camera.name, silent, why, facts),
                statuses.frames_status(camera.name, counts, before, age)]
