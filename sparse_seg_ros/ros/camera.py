# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of the node: its image subscription, its publishers, and when images came."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.messages.fields import image_message, stamp_nanoseconds
from sparse_seg_ros.messages.pixels import to_rgb
from sparse_seg_ros.messages.region import Region, crop
from sparse_seg_ros.messages.status import ONLY_CAMERA
from sparse_seg_ros.methods.request import OPTIONAL
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.ros import qos
from sparse_seg_ros.ros.calibration import Calibration
from sparse_seg_ros.ros.events import InputEvents, OutputEvents
from sparse_seg_ros.stream.health import rate_hz
from sparse_seg_ros.stream.outputs import OUTPUTS, SegmentedFrame
from sparse_seg_ros.texts import cut

INPUTS = {'raw': (Image, 'image'), 'compressed': (CompressedImage, 'image/compressed')}


class Camera:
    """
    Topics of one camera, under its namespace where the node has several; the sink of its frames.

    The node has the parameters in `config` and the slots for frames in `slots`. outputs: names of
    what the model can fill; labels: its classes.
    """

    def __init__(self, node: Any, namespace: str, outputs: Iterable[str], labels: LabelSet):
        config: NodeConfig = node.config
        self.node, self.name, self.setting = node, namespace or ONLY_CAMERA, config.reliability
        self.labels = labels
        prefix = f'{namespace}/' if namespace else ''
        self.message_type, topic = INPUTS[config.image_transport]
        self.topic = node.resolve_topic_name(prefix + topic)
        self.group = MutuallyExclusiveCallbackGroup()
        self.publishers = {
            name: node.create_publisher(
                Image, f'{prefix}segmentation/{name}', qos.output_profile(),
                event_callbacks=OutputEvents(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
            for name in outputs}
        self.mask_topic = self.publishers['mask'].topic_name  # the publisher may go meanwhile
        self.arrivals = deque(maxlen=30)  # monotonic seconds
        self.last_seconds = time.monotonic()
        self.looks, self.size_hw = 'n/a', None  # of the last image
        self.changing = threading.Lock()
        self.calibration = Calibration(node, prefix, self.group)
        self.subscription = self.subscribe()

    def subscribe(self) -> Any:
        """Subscribe to the images with the reliability that fits the publishers now."""
        self.profile = qos.input_profile(
            qos.wanted_reliability(self.setting, self.find_publishers()))
        return self.node.create_subscription(
            self.message_type, self.topic, self.receive, self.profile, callback_group=self.group,
            event_callbacks=InputEvents(incompatible_qos=self.report_mismatch),
            qos_overriding_options=qos.INPUT_OVERRIDES)

    def match_publishers(self) -> None:
        """Subscribe again if the publishers offer another reliability than before."""
        publishers = self.find_publishers()
        with self.changing:
            if not publishers or self.subscription is None or self.profile.reliability \
                    == qos.wanted_reliability(self.setting, publishers):
                return
            self.node.destroy_subscription(self.subscription)
            self.subscription = self.subscribe()
        self.node.get_logger().info(
            f'{self.topic}: subscribed {qos.NAMES[self.profile.reliability]}, as published')

    def find_publishers(self) -> list:
        """Return endpoint information of all who publish the image topic."""
        return self.node.get_publishers_info_by_topic(self.topic)

    def receive(self, message: Any) -> None:
        """Store the image and return: no work on the executor."""
        if not self.node.is_enabled:
            return
        region = self.node.config.roi
        frame = Frame(self.name, ImageReader(self, message, region),
                      stamp=stamp_nanoseconds(message.header), header=message.header,
                      arrived_seconds=time.monotonic(), message=message, region=region)
        if self.node.slots.put(frame):
            self.last_seconds = frame.arrived_seconds
            self.arrivals.append(self.last_seconds)
            self.looks = cut(message.format) if hasattr(message, 'format') else \
                f'{message.width}x{message.height} {cut(message.encoding)}'

    def read(self, message: Any) -> np.ndarray:
        """Message -> (H, W, 3) uint8 RGB, the whole image; ValueError for a bad one."""
        self.node.next_frame.began(self.name, message)
        image = to_rgb(message, self.node.config.max_pixels)
        self.size_hw = image.shape[:2]
        self.node.next_frame.decoded(message, image)
        return image

    def await_images(self) -> None:
        """Start to wait for images now."""
        self.arrivals.clear()
        self.last_seconds = time.monotonic()

    def report_mismatch(self, event: Any) -> None:
        """Log incompatible QoS with its cure; where reliability is auto it cures itself."""
        if self.setting != 'auto':
            self.node.get_logger().warning(
                f'{self.topic}: '
                + qos.why_silent(self.topic, self.profile, self.find_publishers(),
                                 self.message_type))

    def optional_outputs(self) -> list[str]:
        """Return the outputs to ask of the model beside those that it always makes."""
        return [name for name in OPTIONAL if self.wants(name, self.node.config)]

    def wants(self, name: str, config: NodeConfig) -> bool:
        """Tell whether an output is to be made: lazy ones only while somebody listens."""
        if name not in self.publishers:
            return False
        if name == 'uncertainty' and not config.publish_uncertainty:
            return False
        return not OUTPUTS[name].is_lazy or \
            self.publishers[name].get_subscription_count() > 0

    def __call__(self, frame: Frame, image: np.ndarray, prediction: Prediction) -> None:
        """Publish every wanted output of a frame under the header of its image."""
        config = self.node.config
        self.node.next_frame.segmented(frame, prediction)
        segmented = SegmentedFrame(image, prediction, self.labels, config.uncertainty_encoding,
                                   config.overlay_alpha)
        for name, output in OUTPUTS.items():
            is_there = name not in OPTIONAL or getattr(prediction, name) is not None
            if is_there and self.wants(name, config):
                array = output.scaled(output.make(segmented), config.output_scale)
                self.publishers[name].publish(image_message(
                    Image, frame.header, array, output.encoding(segmented)))
        reader: Any = frame.read_image
        self.calibration.publish(frame, reader.size_hw, frame.region, config.output_scale)

    def rate_hz(self) -> float:
        """Return images per second over the last ones received."""
        return rate_hz(list(self.arrivals), time.monotonic())

    def destroy(self) -> None:
        """Undo all subscriptions and publishers."""
        with self.changing:
            self.node.destroy_subscription(self.subscription)
            self.subscription = None
        self.calibration.destroy()
        for publisher in self.publishers.values():
            self.node.destroy_publisher(publisher)


@dataclass
class ImageReader:
    """
    Reads the image in a message of a camera, its region alone.

    The region is that of the moment when the message came. size_hw: of the whole image, once it
    is read.
    """

    camera: Camera
    message: Any
    region: Region | None
    size_hw: tuple[int, int] = (0, 0)

    def __call__(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; ValueError for a bad message, or a region outside."""
        image = self.camera.read(self.message)
        self.size_hw = image.shape[0], image.shape[1]
        return crop(image, self.region, self.camera.name)
