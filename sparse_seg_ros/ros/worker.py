# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that segments: newest message -> image -> prediction -> topics, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sparse_seg_ros.config import NodeConfig
from sparse_seg_ros.ros.camera import Camera
from sparse_seg_ros.ros.newest import Frame, Newest
from sparse_seg_ros.ros.outputs import Segmented
from sparse_seg_ros.ros.pixels import to_rgb
from sparse_seg_ros.ros.statuses import age_seconds, describe_age
from sparse_seg_ros.segmenter import Segmenter

POLL_SECONDS = 0.2
THROTTLE_SECONDS = 5.0


class Worker:
    """
    Serves the frames in the slots until stopped.

    config() is asked before each frame, so that live parameters apply from the next one on;
    on_frame(camera, message, milliseconds, facts) is called after each frame published.
    """

    def __init__(self, segmenter: Segmenter, newest: Newest, cameras: Mapping[str, Camera],
                 config: Callable[[], NodeConfig], on_frame: Callable[..., None]):
        self.segmenter, self.newest, self.cameras = segmenter, newest, cameras
        self.config, self.on_frame = config, on_frame
        self.own_limits = {'alpha': segmenter.alpha, 'budget': segmenter.budget}
        self.ages: dict[str, float | None] = dict.fromkeys(cameras)
        self.node = next(iter(cameras.values())).node
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name='segmentation', daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Serve frames; runs in the thread."""
        while not self.stopping.is_set():
            frame = self.newest.take(POLL_SECONDS)
            if frame is not None:
                self.newest.settle(frame, self.serve(frame))

    def stop(self, timeout_seconds: float) -> None:
        """End the thread after the frame it is at."""
        self.stopping.set()
        self.thread.join(timeout_seconds)

    def serve(self, frame: Frame) -> str:
        """Segment and publish one frame -> its outcome. One bad frame never stops the rest."""
        try:
            return self.process(frame, self.config())
        except Exception as error:  # the edge that must survive
            self.log('error', f'{frame.camera}: frame failed: {type(error).__name__}: {error}')
            return 'failed'

    def process(self, frame: Frame, config: NodeConfig) -> str:
        """Segment and publish one frame unless it is too old or not an image -> its outcome."""
        if self.is_stale(frame, config):
            return 'stale'
        started = time.monotonic()
        try:
            image = to_rgb(frame.message, config.max_pixels)
        except ValueError as error:
            self.log('warning', f'{frame.camera}: image dropped: {error}')
            return 'invalid'
        self.segment(frame, image, started, config)
        return 'published'

    def segment(self, frame: Frame, image: Any, started: float, config: NodeConfig) -> None:
        """Segment an image and publish all that is wanted of it, with its times."""
        camera, decoded = self.cameras[frame.camera], time.monotonic()
        self.apply_limits(config)
        seen = self.segmenter(image, wants_confidence=camera.wants('confidence', config),
                              wants_merged=camera.wants('merged', config))
        segmented = time.monotonic()
        camera.publish(frame.message.header,
                       Segmented(image, seen, self.segmenter.labels, config))
        published = time.monotonic()
        stages = {**seen.milliseconds, 'wait': (started - frame.arrived_seconds) * 1e3,
                  'decode': (decoded - started) * 1e3, 'segment': (segmented - decoded) * 1e3,
                  'publish': (published - segmented) * 1e3,
                  'total': (published - frame.arrived_seconds) * 1e3}
        self.on_frame(camera, frame.message, stages, {
            'age s': describe_age(self.ages[frame.camera]), 'refined': round(seen.density, 5)})

    def apply_limits(self, config: NodeConfig) -> None:
        """Set threshold and budget of the configuration, or the model's own below 0."""
        for name, asked in (('alpha', config.alpha_nats), ('budget', config.budget)):
            wanted = self.own_limits[name] if asked < 0 else asked
            if wanted != getattr(self.segmenter, name):
                setattr(self.segmenter, name, wanted)

    def is_stale(self, frame: Frame, config: NodeConfig) -> bool:
        """Tell whether an image is too old to be of use, and log the cure."""
        stamp = frame.message.header.stamp
        now = self.node.get_clock().now().nanoseconds
        age = age_seconds(now, stamp.sec * 10 ** 9 + stamp.nanosec)
        self.ages[frame.camera] = age
        if not config.max_age_seconds or age is None or age <= config.max_age_seconds:
            return False
        self.log('warning', f'{frame.camera}: image dropped: {age:.2f} s old, older than '
                 f'max_age_seconds {config.max_age_seconds}; for a bag set use_sim_time and play '
                 'it with --clock')
        return True

    def log(self, level: str, text: str) -> None:
        """Log at most one line per level in some seconds."""
        logger = self.node.get_logger()
        if level == 'error':
            logger.error(text, throttle_duration_sec=THROTTLE_SECONDS)
        else:
            logger.warning(text, throttle_duration_sec=THROTTLE_SECONDS)
