# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two processes of node.py: `python -m sparse_seg_ros.bench.node_processes ROLE CASE`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sparse_seg_ros.bench.node import Case
from sparse_seg_ros.messages.fields import image_message
from sparse_seg_ros.ros.run_node import main as run_node

PATIENCE_SECONDS = 60.0


class FixedTime:
    """A method that takes a fixed time and no processor: thresholds for labels, then sleep."""

    optional, needs_truth = (), False

    def __init__(self, milliseconds: float):
        self.milliseconds = milliseconds

    def __call__(self, images: Any, request: Any, clock: Any) -> Any:
        """(1, 3, H, W) -> MethodOutput."""
        from sparse_seg_ros.methods.output import MethodOutput

        with clock('dense'):
            labels = (images[:, 0] > 0).byte()  # (1, H, W)
            time.sleep(self.milliseconds / 1e3)
        return MethodOutput(labels, labels.float())

    def limits(self) -> dict:
        """Return none: nothing is refined."""
        return {}


def load_fixed_time(milliseconds: float) -> Any:
    """Return a Segmenter around FixedTime."""
    from sparse_seg_ros.labels import load_labels
    from sparse_seg_ros.segmenter import Segmenter

    return Segmenter(FixedTime(milliseconds), load_labels('camvid'), (127.5,) * 3, (127.5,) * 3)


class BenchCamera:
    """Publishes images at a rate and collects what the node says about them."""

    def __init__(self, case: Case):
        self.case, self.timings, self.counters, self.reports = case, {}, {}, 0
        self.heard = threading.Condition()
        self.node = rclpy.create_node('bench_camera')
        self.node.create_subscription(DiagnosticArray, 'segmentation/timing', self.hear_timing, 10)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self.hear_health, 10)
        self.node.create_subscription(Image, 'segmentation/mask', lambda mask: None, 1)
        self.publisher = self.node.create_publisher(Image, 'image', QoSProfile(
            depth=10, reliability=ReliabilityPolicy[case.reliability.upper()]),
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))
        self.stopping = threading.Event()
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()

    def listen(self) -> None:
        """Hear the node until stopped; runs in a thread."""
        executor = SingleThreadedExecutor()
        executor.add_node(self.node)
        while not self.stopping.is_set():
            executor.spin_once(timeout_sec=0.1)
        executor.shutdown()

    def close(self) -> None:
        """End the thread."""
        self.stopping.set()
        self.listener.join()

    def hear_timing(self, message: DiagnosticArray) -> None:
        """Keep the times of one frame under its stamp."""
        values = {pair.key: float(pair.value) for pair in message.status[0].values
                  if pair.value != 'n/a'}
        with self.heard:
            self.timings[message.header.stamp.sec, message.header.stamp.nanosec] = values
            self.heard.notify_all()

    def hear_health(self, message: DiagnosticArray) -> None:
        """Keep the counters of the frames."""
        for status in message.status:
            if status.name.endswith('camera frames'):
                with self.heard:
                    self.counters = {pair.key: int(pair.value) for pair in status.values
                                     if pair.value.isdigit()}
                    self.reports += 1
                    self.heard.notify_all()

    def send(self, image: np.ndarray) -> tuple[int, int]:
        """Publish an image stamped with the moment of publishing -> stamp."""
        message = image_message(Image, Header(frame_id='bench'), image, 'rgb8')
        stamp = message.header.stamp = self.node.get_clock().now().to_msg()
        self.publisher.publish(message)
        return stamp.sec, stamp.nanosec

    def warm_up(self, image: np.ndarray) -> dict[str, int]:
        """Send until frames come back -> counters until then."""
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.timings) < 5:
            if time.monotonic() > end:
                raise RuntimeError('the node answers no image')
            self.send(image)
            with self.heard:
                self.heard.wait(0.2)
        return self.settled_counters()

    def settled_counters(self) -> dict[str, int]:
        """Wait until two reports in a row are equal and no frame is waiting -> counters."""
        before = None
        while True:
            with self.heard:
                if not self.heard.wait_for(self.has_report_after(self.reports),
                                           PATIENCE_SECONDS):
                    raise RuntimeError('the node sends no diagnostics')
                now = dict(self.counters)
            if now == before and not now['waiting']:
                return now
            before = now

    def has_report_after(self, number: int) -> Callable[[], bool]:
        """Return the question whether a later report has come."""
        return lambda: self.reports > number

    def run(self) -> dict[str, Any]:
        """Send all frames -> sent, counters and times of these."""
        shape = (self.case.height, self.case.width, 3)
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        before = self.warm_up(image)
        stamps, due = [], time.monotonic()
        for _ in range(self.case.frames):
            due += 1 / self.case.rate_hz
            time.sleep(max(0.0, due - time.monotonic()))
            stamps.append(self.send(image))
        after = self.settled_counters()
        return {'sent': len(stamps),
                'counters': {name: after[name] - before[name] for name in after},
                'timings': [self.timings[stamp] for stamp in stamps if stamp in self.timings]}


def main() -> int:
    """Be the node or the camera."""
    role, case, result = sys.argv[1], Case(**json.loads(sys.argv[2])), Path(sys.argv[3])
    if role == 'node':
        return run_node(['--ros-args', '-p', 'max_age_seconds:=0.0', '--log-level', 'warn'],
                        lambda config: load_fixed_time(case.method_milliseconds))
    rclpy.init()
    camera = BenchCamera(case)
    try:
        result.write_text(json.dumps(camera.run()))
    finally:
        camera.close()
        rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
