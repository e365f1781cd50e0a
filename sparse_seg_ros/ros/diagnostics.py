# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes the health of the node: /diagnostics once a second, ~/timing with every frame."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from diagnostic_msgs import msg as diagnostic_types
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.status import diagnostic_array, frame_status
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.ros import qos
from sparse_seg_ros.ros.camera import Camera
from sparse_seg_ros.ros.rivals import describe_rivals
from sparse_seg_ros.stream import health
from sparse_seg_ros.stream.slots import Counters, LatestFrameSlots
from sparse_seg_ros.stream.snapshot import NextFrame
from sparse_seg_ros.stream.stage_times import StageTimes
from sparse_seg_ros.stream.worker import Worker
from sparse_seg_ros.texts import describe_error

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter  # imports torch: seconds

PERIOD_SECONDS = 1.0
THROTTLE_SECONDS = 5.0


class WatchedNode(Node):
    """What Diagnostics looks at; segmenter and worker are None while no model is loaded."""

    config: NodeConfig
    segmenter: Segmenter | None
    worker: Worker | None
    next_frame: NextFrame
    is_enabled: bool
    state: str
    error: str
    cameras: dict[str, Camera]
    slots: LatestFrameSlots


class Diagnostics:
    """
    Watches a node on a steady clock, whether frames come or not.

    The default updater of ROS is not used: it misreports rates under simulated time.
    """

    def __init__(self, node: WatchedNode):
        self.node, self.times, self.errors = node, StageTimes(), CallbackErrors()
        self.rivals, self.before = '', {}
        self.timing = node.create_publisher(diagnostic_types.DiagnosticArray, '~/timing', 10)
        self.health = node.create_publisher(diagnostic_types.DiagnosticArray, '/diagnostics', 10)
        self.timer = node.create_timer(
            PERIOD_SECONDS, self.report, clock=Clock(clock_type=ClockType.STEADY_TIME),
            callback_group=MutuallyExclusiveCallbackGroup())

    def forget_times(self) -> None:
        """Forget all stage times, because another model runs."""
        self.times = StageTimes()

    def add_times(self, milliseconds: Mapping[str, float]) -> None:
        """Keep the times of a frame that was segmented, whether published or not."""
        self.times.add(milliseconds, self.node.config.budget_milliseconds)

    def add_frame(self, frame: Frame, milliseconds: Mapping[str, float],
                  facts: Mapping[str, Any]) -> None:
        """Publish the times of one frame under the header of its image."""
        self.publish(self.timing, frame.header, [frame_status(frame.source, milliseconds, facts)])
        self.node.next_frame.published(frame, milliseconds, facts)

    def add_error(self, error: Exception) -> None:
        """Log and count an error that came out of a callback."""
        self.errors.add(error)
        self.node.get_logger().error(f'a callback failed: {self.errors.last}',
                                     throttle_duration_sec=THROTTLE_SECONDS)

    def report(self) -> None:
        """Publish the state of everything."""
        header = Header(stamp=self.node.get_clock().now().to_msg())
        self.publish(self.health, header, self.collect())

    def publish(self, publisher: Any, header: Header, reports: list) -> None:
        """Publish statuses under the full name of the node."""
        publisher.publish(diagnostic_array(
            diagnostic_types, header, self.node.get_fully_qualified_name(), reports))

    def collect(self) -> list[health.Status]:
        """Return one status per task of ROS.md."""
        node = self.node
        segmenter, worker = node.segmenter, node.worker  # may go while we look
        description = {**(segmenter.description if segmenter else {}),
                       health.ENABLED: str(node.is_enabled).lower()}
        if worker is not None:
            description = {**description, health.THREADS: str(worker.threads.used)}
        reports = [health.engine_status(node.state, description, node.error),
                 health.timing_status(
                     self.times, node.config.budget_milliseconds, node.slots.running_seconds(),
                     time.monotonic() - self.times.last_seconds),
                 health.memory_status(has_model=segmenter is not None), self.collect_node()]
        if worker is not None and node.config.deadline_seconds():
            reports.append(worker.planner.record.status())
        for camera in list(node.cameras.values()):
            reports += self.collect_camera(camera)
        return reports

    def collect_node(self) -> health.Status:
        """Return what goes wrong in the node beside the frames."""
        rivals = describe_rivals(
            self.node, [camera.mask_topic for camera in list(self.node.cameras.values())])
        if rivals and rivals != self.rivals:
            self.node.get_logger().warning(rivals)
        self.rivals = rivals
        worker = self.node.worker
        if worker is None:
            return health.node_status([], self.errors.describe(), rivals)
        return health.node_status(list(worker.deaths), self.errors.describe(), rivals,
                                  worker.recovery.state, len(worker.dead()),
                                  worker.recovery.why_stopped)

    def collect_camera(self, camera: Camera) -> list[health.Status]:
        """Return input and frame counters of one camera."""
        publishers = camera.find_publishers()
        facts = {health.TOPIC: camera.topic, health.IMAGE: camera.looks,
                 health.RATE: f'{camera.rate_hz():.1f}', health.PUBLISHERS: len(publishers),
                 health.RELIABILITY: qos.NAMES[camera.profile.reliability]}
        worker, slots = self.node.worker, self.node.slots
        counts = slots.counters(camera.name)
        return [health.input_status(
                    camera.name, time.monotonic() - camera.last_seconds,
                    qos.why_silent(camera.topic, camera.profile, publishers,
                                   camera.message_type), facts,
                    idle=self.why_idle(), has_images=bool(camera.arrivals)),
                health.frames_status(
                    camera.name, counts, self.counters_before(camera.name, counts),
                    {health.LAST_AGE: str(worker.ages[camera.name]) if worker else 'n/a',
                     health.LAST_LOSS: worker.losses[camera.name] if worker else 'n/a'},
                    slots.stuck_seconds()),
                *([worker.pictures.status(camera.name, self.node.config.check_pictures,
                                          slots.is_open)] if worker else [])]

    def why_idle(self) -> str:
        """Say why no images are taken; '' where they are."""
        if not self.node.slots.is_open:
            return 'not active'
        return '' if self.node.is_enabled else 'disabled'

    def counters_before(self, camera: str, counts: Counters) -> Counters:
        """Keep the counters of a camera -> those of some seconds ago, 0 at the start."""
        now = time.monotonic()
        history = self.before.setdefault(camera, deque([(now, Counters())]))
        history.append((now, counts))
        while len(history) > 1 and history[1][0] <= now - health.RECENT_SECONDS:
            history.popleft()
        return history[0][1]


class CallbackErrors:
    """Errors that came out of callbacks: how many, which was the last, and which are recent."""

    def __init__(self):
        self.count, self.last, self.moments = 0, 'none', deque(maxlen=100)

    def add(self, error: Exception) -> None:
        """Count an error."""
        self.count, self.last = self.count + 1, describe_error(error)
        self.moments.append(time.monotonic())

    def describe(self) -> dict[str, Any]:
        """Return the errors as health.node_status() takes them."""
        start = time.monotonic() - health.RECENT_SECONDS
        return {health.ERRORS: self.count, health.LAST_ERROR: self.last,
                'recent': sum(moment > start for moment in list(self.moments))}
