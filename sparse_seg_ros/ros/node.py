# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The lifecycle node: who does what when.

configure loads and warms up the model, activate opens the gate, deactivate closes it and keeps
the model, cleanup frees it. Images go camera.py -> stream/slots.py ->
stream/worker.py -> camera.py; the executor only stores them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType, ROSClock
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.lifecycle.node import LifecycleNodeMixin
from rclpy.node import Node

from sparse_seg_ros.label_remap import load_remap
from sparse_seg_ros.messages.status import ONLY_CAMERA
from sparse_seg_ros.methods.request import NO_LIMITS
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.ros import parameters
from sparse_seg_ros.ros.camera import Camera
from sparse_seg_ros.ros.diagnostics import Diagnostics, WatchedNode
from sparse_seg_ros.ros.label_info import LabelInfoPublisher
from sparse_seg_ros.ros.services import Services
from sparse_seg_ros.stream.fair_schedule import Rules
from sparse_seg_ros.stream.health import ACTIVE, FINALIZED, INACTIVE, LOADING, UNCONFIGURED
from sparse_seg_ros.stream.model_checks import check_limits, check_roi, idle_limits
from sparse_seg_ros.stream.outputs import topics_of
from sparse_seg_ros.stream.schedule import Deadlines
from sparse_seg_ros.stream.slots import LatestFrameSlots
from sparse_seg_ros.stream.snapshot import NextFrame
from sparse_seg_ros.stream.worker import Host, Worker, WorkerSettings
from sparse_seg_ros.texts import LONG, cut, describe_error

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter  # imports torch: seconds

WARM_UP_SIZE_HW, WARM_UP_RUNS = (360, 640), 2
WARM_UP_LIMITS = {'alpha': 0.0, 'budget': 0.1}  # so that something is refined whatever the model
MATCH_PERIOD_SECONDS = 0.5
DRAIN_SECONDS = 10.0


def load_model(config: NodeConfig) -> Segmenter:
    """Load the model named in the parameters."""
    from sparse_seg_ros import load  # imports torch

    remap = load_remap(config.labels_remap) if config.labels_remap else None
    segmenter = load(config.model, config.device, config.precision, config.method,
                     config.limits())
    return segmenter.with_remap(remap) if remap else segmenter


def ramp(size_hw: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB with all levels: what is too large for a type shows in it."""
    height, width = size_hw
    down, across = np.linspace(0, 255, height)[:, None], np.linspace(0, 255, width)
    parts = np.broadcast_arrays(down, across, 255 - (down + across) / 2)
    return np.stack(parts, axis=2).astype(np.uint8)


class SegmentationNode(LifecycleNodeMixin, WatchedNode):
    """
    Segments the images of its cameras.

    `load` makes the segmenter from the parameters. Raises ValueError for bad parameters.
    """

    def __init__(self, load: Callable[[NodeConfig], Segmenter] = load_model, **node_arguments):
        Node.__init__(self, 'segmentation', **node_arguments)
        # Lifecycle services in their own group: images, clock and parameters are served while
        # a model loads, and so is get_state.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self.load, self.state, self.error = load, UNCONFIGURED, ''
        self.config = parameters.declare(self)
        self.add_on_set_parameters_callback(self.change_parameters)
        self.segmenter: Segmenter | None = None
        self.worker: Worker | None = None
        self.label_info: LabelInfoPublisher | None = None
        self.cameras: dict[str, Camera] = {}
        self.slots = LatestFrameSlots(
            [name or ONLY_CAMERA for name in self.config.namespaces], self.rules)
        self.is_enabled, self.next_frame = True, NextFrame()
        self.diagnostics, self.control = Diagnostics(self), Services(self, self.next_frame)
        self.caring = self.create_timer(
            MATCH_PERIOD_SECONDS, self.look_after,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
            callback_group=MutuallyExclusiveCallbackGroup())

    def autostart(self) -> None:
        """Configure and activate, unless the parameter autostart is false."""
        if self.config.autostart and \
                self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model, make the topics."""
        return self.attempt(self.configure, 'configure', INACTIVE)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let images in."""
        return self.attempt(self.open_gate, 'activate', ACTIVE)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let no more images in; the one being segmented is still published."""
        why = self.worker.recovery.why_stopped if self.worker else ''
        return self.attempt(lambda: self.slots.close(DRAIN_SECONDS), 'deactivate', INACTIVE,
                            why and f'deactivated: {why}')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free model and topics."""
        return self.attempt(self.release, 'cleanup', UNCONFIGURED)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything for good."""
        return self.attempt(self.release, 'shutdown', FINALIZED)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free what there is, so that the node can be configured again."""
        return self.attempt(self.release, 'error handling', UNCONFIGURED)

    def attempt(self, act: Callable[[], None], name: str, state: str, why: str = ''
                ) -> TransitionCallbackReturn:
        """
        Do a step of the lifecycle; log whatever stops it in one line, and keep it.

        why: the error that led to this step, which is kept where the step succeeds. rclpy hides
        errors raised here, and is stuck in a transition after SystemExit.
        """
        try:
            act()
        except (Exception, SystemExit) as error:
            self.error = f'{name} failed: {describe_error(error)}'
            self.get_logger().error(self.error)
            return TransitionCallbackReturn.FAILURE
        self.state, self.error = state, why
        return TransitionCallbackReturn.SUCCESS

    def configure(self) -> None:
        """Load, warm up, make topics; undo all of it when something fails."""
        self.state, start = LOADING, time.monotonic()
        self.get_logger().info(f'loading model {cut(self.config.model)!r} on '
                               f'{cut(self.config.device)}')
        try:
            self.segmenter = segmenter = self.load(self.config)
            check_limits(self.config, segmenter)
            check_roi(self.config, segmenter)
            self.warn_of_idle_limits(self.config, NodeConfig())
            self.warm_up(segmenter)
            parameters.follow_model(self, segmenter.method.limits())
            self.make_topics(segmenter)
        except BaseException:
            self.state = UNCONFIGURED
            self.release()
            raise
        self.get_logger().info(f'ready after {time.monotonic() - start:.1f} s: '
                               f'{segmenter.description}')
        for what, text in segmenter.origin.items():
            self.get_logger().info(f'{what} of the weights: {text}')

    def warm_up(self, segmenter: Segmenter) -> None:
        """Segment ramps from black to white: the first runs allocate, compile and overflow."""
        known = segmenter.method.limits()
        limits = {name: value for name, value in WARM_UP_LIMITS.items() if name in known}
        for size_hw in (segmenter.sizes_hw or (WARM_UP_SIZE_HW,)) * WARM_UP_RUNS:
            segmenter(ramp(size_hw), limits.get('alpha'), limits.get('budget'),
                      segmenter.method.optional)

    def make_topics(self, segmenter: Segmenter) -> None:
        """Create cameras, label info and the thread that serves them."""
        namespaces, outputs = self.config.namespaces, topics_of(segmenter.method)
        for namespace in namespaces:
            camera = Camera(self, namespace, outputs, segmenter.labels)
            self.cameras[camera.name] = camera
        self.label_info = LabelInfoPublisher(self, namespaces, segmenter.labels)
        self.diagnostics.forget_times()
        self.worker = Worker(segmenter, self.slots, self.cameras, Host(
            self.worker_settings, self.now, self.log, self.diagnostics.add_times,
            self.diagnostics.add_frame), self.config.workers)

    def worker_settings(self) -> WorkerSettings:
        """Return what the parameters ask of the next frame."""
        config = self.config
        return WorkerSettings(config.limits(), config.max_age_seconds, config.threads,
                              self.deadlines(), config.check_pictures)

    def deadlines(self) -> Deadlines:
        """Return when the parameters want the frames of each camera to be published."""
        return Deadlines(self.config.deadline_seconds(), self.config.deadline_from == 'stamp')

    def rules(self) -> Rules:
        """Return what the parameters say of the turns of the cameras."""
        config, deadlines = self.config, self.deadlines()
        return Rules(config.by_camera(config.camera_weights),
                     config.by_camera(config.camera_max_hz),
                     lambda frame: deadlines.due(frame, self.now))

    def now(self) -> tuple[int, bool]:
        """Return the nanoseconds of the clock, and whether they are simulated time."""
        clock = self.get_clock()
        is_simulated = isinstance(clock, ROSClock) and clock.ros_time_is_active
        return clock.now().nanoseconds, is_simulated

    def log(self, severity: str, text: str) -> None:
        """Log one line; rclpy needs a line of code for each severity."""
        if severity == 'error':
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)

    def open_gate(self) -> None:
        """Let images in, and start waiting for them now."""
        for camera in self.cameras.values():
            camera.await_images()
        if self.worker is not None:
            self.worker.restart()
        self.slots.open()

    def release(self) -> None:
        """Stop the worker, remove the topics, forget the model."""
        self.slots.close(DRAIN_SECONDS)
        if self.worker is not None:
            if not self.worker.stop(DRAIN_SECONDS):
                self.get_logger().error('the model hangs in a frame; its thread and its memory '
                                        'are left behind, restart the node to free them')
        if self.label_info is not None:
            self.label_info.destroy()
        cameras, self.cameras = self.cameras, {}
        for camera in cameras.values():
            camera.destroy()
        self.worker = self.label_info = self.segmenter = None
        parameters.follow_model(self, NO_LIMITS)

    def look_after(self) -> None:
        """Let every camera follow its publishers, and the thread that segments live."""
        for camera in list(self.cameras.values()):
            camera.match_publishers()
        worker = self.worker  # may go meanwhile
        if worker is not None:
            worker.revive()
            self.stop_where_nothing_helps(worker)
        if self.state == LOADING:
            self.get_logger().info('still loading', throttle_duration_sec=5.0, skip_first=True)

    def stop_where_nothing_helps(self, worker: Worker) -> None:
        """Deactivate, with the reason, where frames keep failing or the thread keeps ending."""
        why = worker.recovery.why_stopped
        if why and self.state == ACTIVE and \
                self.trigger_deactivate() == TransitionCallbackReturn.SUCCESS:
            self.get_logger().error(self.error)

    def change_parameters(self, changes: list) -> SetParametersResult:
        """Check changes; the next frame uses them, or the next model that is loaded."""
        segmenter = self.segmenter  # may go meanwhile
        try:
            config = parameters.changed(self.config, changes, self.state)
            check_limits(config, segmenter)
            check_roi(config, segmenter, {
                camera.name: camera.size_hw for camera in list(self.cameras.values())})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=cut(str(error), LONG))
        self.warn_of_idle_limits(config, self.config)
        self.config = config
        return SetParametersResult(successful=True)

    def warn_of_idle_limits(self, config: NodeConfig, former: NodeConfig) -> None:
        """Warn of limits that are new and do nothing."""
        for text in idle_limits(config, former, self.segmenter):
            self.get_logger().warning(text)
