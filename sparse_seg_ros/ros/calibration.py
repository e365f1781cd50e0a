# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""segmentation/camera_info: the CameraInfo of a camera, as it is for the outputs."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.fields import stamp_nanoseconds
from sparse_seg_ros.messages.region import Region, info_of_outputs, size_of_info
from sparse_seg_ros.ros import qos
from sparse_seg_ros.ros.events import InputEvents, OutputEvents

MOST_KEPT = 30  # of the newest: an image is paired with the one of its stamp
THROTTLE_SECONDS = 5.0


class Calibration:
    """
    Topics camera_info and segmentation/camera_info of a camera.

    An image without a CameraInfo of its stamp gets the newest; without any, none is published.
    """

    def __init__(self, node: Any, prefix: str, group: Any):
        self.node, self.infos = node, OrderedDict()  # by stamp in nanoseconds
        self.subscription = node.create_subscription(
            CameraInfo, f'{prefix}camera_info', self.receive, qos_profile_sensor_data,
            callback_group=group, event_callbacks=InputEvents())
        self.publisher = node.create_publisher(
            CameraInfo, f'{prefix}segmentation/camera_info', qos.output_profile(),
            event_callbacks=OutputEvents())

    def receive(self, info: CameraInfo) -> None:
        """Keep a CameraInfo."""
        self.infos[stamp_nanoseconds(info.header)] = info
        while len(self.infos) > MOST_KEPT:
            self.infos.popitem(last=False)

    def publish(self, frame: Frame, size_hw: tuple[int, int], region: Region | None, scale: float
                ) -> None:
        """Publish the CameraInfo of the outputs for an image of this size, if there is one."""
        known = list(self.infos.items())
        if not known or not self.publisher.get_subscription_count():
            return
        info = dict(known).get(frame.stamp, known[-1][1])
        if size_of_info(info) != size_hw:
            height, width = size_of_info(info)
            self.node.get_logger().warning(
                f'{self.subscription.topic_name} is for images of {width}x{height}, and those of '
                f'{frame.source} are {size_hw[1]}x{size_hw[0]}, so {self.publisher.topic_name} is '
                'not published; correct the camera driver, or remap camera_info',
                throttle_duration_sec=THROTTLE_SECONDS)
            return
        self.publisher.publish(info_of_outputs(info, frame.header, region, scale))

    def destroy(self) -> None:
        """Undo subscription and publisher."""
        self.node.destroy_subscription(self.subscription)
        self.node.destroy_publisher(self.publisher)
