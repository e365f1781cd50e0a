# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A client of the node over DDS: it sends images, collects outputs, and waits for states."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sparse_seg_ros.bags.bag_messages import COMPRESSED, DIAGNOSTIC_ARRAY, IMAGE
from sparse_seg_ros.messages.fields import image_message, stamp_nanoseconds
from sparse_seg_ros.messages.status import Status, read_array
from sparse_seg_ros.ros.events import OutputEvents
from sparse_seg_ros.stream.health import (
    ACTIVE,
    ENGINE,
    RECEIVED,
    STATE,
    WAITING,
    frames_task,
    read_counters,
)

READY_SECONDS, SILENT_SECONDS, MATCH_SECONDS = 180.0, 30.0, 20.0
LOOK_SECONDS = 0.2  # between two looks at what no message tells
SPIN_SECONDS = 0.1  # the end is seen between spins
DEPTH = 10
MESSAGES = {IMAGE: Image, COMPRESSED: CompressedImage, DIAGNOSTIC_ARRAY: DiagnosticArray}


@contextmanager
def open_ros() -> Iterator[None]:
    """Open ROS in this process and close it again; a signal ends the process as without ROS."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


class Probe:
    """
    One camera of a node, and its listener: `with Probe('my_camera', 'image') as probe: ...`.

    topic: of the images, of this type and reliability. statuses: what /diagnostics said last, by
    task. A thread listens; it handles each message, and others wait for it, under the lock of
    `changed`.
    """

    def __init__(self, name: str, topic: str, image_type: str = IMAGE,
                 reliability: str = 'reliable'):
        self.changed, self.stopping = threading.Condition(), threading.Event()
        self.statuses: dict[str, Status] = {}
        self.reports, self.topics = 0, []
        self.node = rclpy.create_node(name)
        self.publisher = self.node.create_publisher(
            MESSAGES[image_type], topic, profile(reliability),
            event_callbacks=OutputEvents(use_default_callbacks=False))
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self.take_report, DEPTH)
        self.thread = ThreadPoolExecutor(1)  # keeps the error that ends the listening
        self.listening: Future[None] | None = None

    def __enter__(self) -> Probe:
        self.listening = self.thread.submit(self.spin)
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.set()
        self.thread.shutdown()  # no callback comes after this
        self.node.destroy_node()

    def spin(self) -> None:
        """Listen until stopped; runs in the thread."""
        executor = SingleThreadedExecutor()
        executor.add_node(self.node)
        try:
            while not self.stopping.is_set():
                executor.spin_once(timeout_sec=SPIN_SECONDS)
        finally:
            executor.shutdown()

    def listen(self, topic: str, message_type: str, handle: Callable[[str, Any], None],
               raw: bool = False) -> None:
        """Call handle(full name of the topic, message) for each; raw: message is its bytes."""
        topic = self.node.resolve_topic_name(topic)

        def take(message: Any) -> None:
            with self.changed:
                handle(topic, message)
                self.changed.notify_all()
        self.topics.append(topic)
        self.node.create_subscription(MESSAGES[message_type], topic, take, profile(), raw=raw)

    def take_report(self, message: DiagnosticArray) -> None:
        """Keep what the node says of itself."""
        with self.changed:
            self.statuses |= {status.task: status for status in read_array(message)}
            self.reports += 1
            self.changed.notify_all()

    def send(self, image: np.ndarray) -> int:
        """Publish (H, W, 3) uint8 RGB, stamped with the moment of publishing -> the stamp."""
        message = image_message(Image, Header(frame_id=self.node.get_name()), image, 'rgb8')
        message.header.stamp = self.node.get_clock().now().to_msg()
        self.publisher.publish(message)
        return stamp_nanoseconds(message.header)

    @property
    def counters(self) -> dict[str, int]:
        """What became of the frames of the node's only camera, by its last report."""
        return read_counters(self.statuses[frames_task()])

    @property
    def state(self) -> str | None:
        """State of the node by its last report; None before the first."""
        return self.statuses[ENGINE].values[STATE] if ENGINE in self.statuses else None

    def wait_until_ready(self) -> None:
        """Wait until the node is active, and each topic has found its other end."""
        self.wait(lambda: self.state, READY_SECONDS,
                  'the node sends no diagnostics; do the processes find each other?')
        self.wait(self.is_active, READY_SECONDS, 'the node does not become active')
        self.wait(self.is_matched, MATCH_SECONDS, 'the topics of the node were not found')
        self.wait_for_reports(2)  # the node has seen us, too

    def is_active(self) -> bool:
        """Tell whether the node serves images; its own error is raised."""
        engine = self.statuses[ENGINE]
        if engine.level == 'ERROR':
            raise ChildProcessError(f'the node says: {engine.message}')
        return self.state == ACTIVE

    def is_matched(self) -> bool:
        """Tell whether the node listens to our images and publishes all that we listen to."""
        return self.publisher.get_subscription_count() > 0 and all(
            self.node.count_publishers(topic) for topic in self.topics)

    def wait_until_settled(self, count: float = math.inf) -> dict[str, int]:
        """
        Wait until the node has received this many frames, and none of them waits -> counters.

        Two equal reports while none waits mean that no more will come.
        """
        before = None
        while True:
            self.wait_for_reports(1)
            now = self.counters
            if not now[WAITING] and (now[RECEIVED] >= count or now == before):
                return now
            if now == before:
                self.wait(lambda known=now: self.counters != known, READY_SECONDS,
                          'the node finishes no frame; does its model hang?')
            before = now

    def wait_for_reports(self, number: int) -> None:
        """Wait for a number of further diagnostics."""
        end = self.reports + number
        self.wait(lambda: self.reports >= end, SILENT_SECONDS, 'the node fell silent')

    def wait(self, condition: Callable[[], object], seconds: float, otherwise: str) -> None:
        """Wait for something that a message changes; what went wrong with one is raised."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition():
                if self.listening is not None and self.listening.done():
                    self.listening.result()  # raises what went wrong, such as a full disk
                if time.monotonic() > end:
                    raise TimeoutError(f'{otherwise} (waited {seconds:.0f} s)')
                self.changed.wait(LOOK_SECONDS)


def profile(reliability: str = 'reliable') -> QoSProfile:
    """Return how images are sent, and answers heard."""
    return QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy[reliability.upper()])
