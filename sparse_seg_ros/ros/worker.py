# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that segments: newest message -> image -> prediction -> topics, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sparse_seg_ros.config import NodeConfig
from sparse_seg_ros.methods.request import OPTIONAL
from sparse_seg_ros.ros.ages import Age, find_age, why_stale
from sparse_seg_ros.ros.camera import Camera
from sparse_seg_ros.ros.newest import Frame, Newest
from sparse_seg_ros.ros.outputs import Segmented
from sparse_seg_ros.ros.pixels import to_rgb
from sparse_seg_ros.texts import LONG, cut, describe_error

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter  # imports torch: seconds

POLL_SECONDS = 0.2
THROTTLE_SECONDS = 5.0


class Worker:
    """
    Serves the frames in the slots until stopped.

    It reads config() before each frame, so that live parameters apply from the next one on. It
    calls report.add_times(milliseconds) for each frame that it finishes in time, published or
    not, and report.add_frame(camera, message, milliseconds, facts) for each one published.
    """

    def __init__(self, segmenter: Segmenter, newest: Newest, cameras: Mapping[str, Camera],
                 config: Callable[[], NodeConfig], report: Any):
        from sparse_seg_ros.threads import Threads  # imports torch: seconds

        self.segmenter, self.newest, self.cameras = segmenter, newest, cameras
        self.config, self.report = config, report
        self.threads = Threads()
        self.ages = dict.fromkeys(cameras, Age())
        self.losses = dict.fromkeys(cameras, 'none')  # why the last frame lost was not published
        self.logged = {}  # camera and outcome: monotonic seconds
        self.node = next(iter(cameras.values())).node
        self.stopping, self.deaths = threading.Event(), []
        self.start()

    def start(self) -> None:
        """Start the thread."""
        self.thread = threading.Thread(target=self.run, name='segmentation', daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Serve frames; runs in the thread. What ends it is kept and logged."""
        frame = None
        try:
            while not self.stopping.is_set():
                frame = self.newest.take(POLL_SECONDS)
                if frame is not None:
                    self.newest.settle(frame, self.serve(frame))
        except BaseException as error:  # not an Exception, or from outside of serve
            self.deaths.append(describe_error(error))
            if frame is not None:
                self.newest.settle(frame, 'failed')

    def revive(self) -> None:
        """Start the thread again, once, if it has died, and log it; for a timer to call."""
        if self.thread.is_alive() or self.stopping.is_set() or not self.deaths:
            return
        if len(self.deaths) == 1:
            self.node.get_logger().error(
                f'the thread that segments ended: {self.deaths[0]}; it is started again')
            self.start()
        else:
            self.node.get_logger().error(
                f'the thread that segments ended again: {self.deaths[-1]}; clean up and '
                'configure the node', throttle_duration_sec=THROTTLE_SECONDS)

    def stop(self, timeout_seconds: float) -> bool:
        """End the thread after the frame it is at; tell whether it has ended in time."""
        self.stopping.set()
        self.thread.join(timeout_seconds)
        return not self.thread.is_alive()

    def serve(self, frame: Frame) -> str:
        """Segment and publish one frame -> its outcome. One bad frame never stops the rest."""
        try:
            return self.process(frame, self.config())
        except Exception as error:  # the edge that must survive
            return self.lose(frame, 'failed', f'frame failed: {describe_error(error)}')

    def process(self, frame: Frame, config: NodeConfig) -> str:
        """Segment and publish one frame unless it is too old or not an image -> its outcome."""
        self.ages[frame.camera] = self.find_age(frame)
        if self.is_stale(frame, config, 'dropped'):
            return 'stale'
        started = time.monotonic()
        try:
            image = to_rgb(frame.message, config.max_pixels)
        except ValueError as error:
            return self.lose(frame, 'invalid', f'image dropped: {cut(str(error), LONG)}')
        return self.segment(frame, image, started, config)

    def segment(self, frame: Frame, image: Any, started: float, config: NodeConfig) -> str:
        """Segment an image, publish all that is wanted of it, keep its times -> its outcome."""
        camera, decoded = self.cameras[frame.camera], time.monotonic()
        self.threads.share(config.threads)
        seen = self.segmenter(image, **limits_of(config, self.segmenter),
                              wants=[name for name in OPTIONAL if camera.wants(name, config)])
        segmented = time.monotonic()
        outcome = self.publish(frame, Segmented(image, seen, self.segmenter.labels, config))
        published = time.monotonic()
        stages = {**seen.milliseconds, 'wait': (started - frame.arrived_seconds) * 1e3,
                  'decode': (decoded - started) * 1e3, 'segment': (segmented - decoded) * 1e3,
                  'publish': (published - segmented) * 1e3,
                  'total': (published - frame.arrived_seconds) * 1e3}
        if outcome != 'abandoned':  # else another model may run meanwhile
            self.report.add_times(stages)
        if outcome == 'published':
            self.report.add_frame(camera, frame.message, stages, {
                'age s': self.ages[frame.camera].figure, 'refined': round(seen.density, 5)})
        return outcome

    def publish(self, frame: Frame, segmented: Segmented) -> str:
        """Publish a frame unless it has become too old or was abandoned -> its outcome."""
        if not self.newest.begin_publishing(frame):
            return 'abandoned'
        if self.is_stale(frame, segmented.config, 'segmented, but not published'):
            return 'stale'
        self.cameras[frame.camera].publish(frame.message.header, segmented)
        return 'published'

    def find_age(self, frame: Frame) -> Age:
        """Return the age of an image now."""
        stamp, clock = frame.message.header.stamp, self.node.get_clock()
        return find_age(clock.now().nanoseconds, stamp.sec * 10 ** 9 + stamp.nanosec,
                        clock.ros_time_is_active)

    def is_stale(self, frame: Frame, config: NodeConfig, fate: str) -> bool:
        """Tell whether an image is too old now to be of use, and log its fate with the cure."""
        why = why_stale(self.find_age(frame), config.max_age_seconds,
                        self.node.get_clock().ros_time_is_active,
                        time.monotonic() - frame.arrived_seconds)
        if why:
            self.lose(frame, 'stale', f'image {fate}: {why}')
        return bool(why)

    def lose(self, frame: Frame, outcome: str, why: str) -> str:
        """Keep why a frame is lost, log it where the last such line is old -> its outcome."""
        self.losses[frame.camera] = why
        key, now = (frame.camera, outcome), time.monotonic()
        if now - self.logged.get(key, -THROTTLE_SECONDS) >= THROTTLE_SECONDS:
            self.logged[key] = now
            logger, text = self.node.get_logger(), f'{frame.camera}: {why}'
            if outcome == 'failed':  # rclpy wants a line of code for each severity
                logger.error(text)
            else:
                logger.warning(text)
        return outcome


def limits_of(config: NodeConfig, segmenter: Segmenter) -> dict[str, float]:
    """Return the limits that the parameters set, without those that this model cannot have."""
    return {name: value for name, value in config.own_limits().items()
            if name in segmenter.method.limits()}
