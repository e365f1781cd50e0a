# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""segmentation/label_info: class ids and names, where vision_msgs is installed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.ros import qos
from sparse_seg_ros.ros.events import OutputEvents

TOPIC = 'segmentation/label_info'
PERIOD_SECONDS = 5.0  # bags started late miss latched messages

try:
    from vision_msgs.msg import LabelInfo, VisionClass  # pyright: ignore[reportMissingImports]
except ImportError:  # optional: not on PyPI
    LabelInfo = VisionClass = None


class LabelInfoPublisher:
    """
    Publishes the label set beside every mask, latched and every few seconds.

    namespaces: of the cameras. Nothing is published without vision_msgs.
    """

    def __init__(self, node: Node, namespaces: Sequence[str], labels: LabelSet):
        self.node, self.labels, self.publishers = node, labels, []
        self.changing = threading.Lock()
        if LabelInfo is None:
            return
        self.publishers = [
            node.create_publisher(LabelInfo, f'{namespace}/{TOPIC}' if namespace else TOPIC,
                                  qos.latched_profile(), event_callbacks=OutputEvents())
            for namespace in namespaces]
        self.timer = node.create_timer(PERIOD_SECONDS, self.publish,
                                       clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.publish()

    def publish(self) -> None:
        """Publish the names of all class ids."""
        message = label_info(Header(stamp=self.node.get_clock().now().to_msg()), self.labels)
        with self.changing:
            for publisher in self.publishers:
                publisher.publish(message)

    def destroy(self) -> None:
        """Undo publishers and timer."""
        with self.changing:
            publishers, self.publishers = self.publishers, []
            for publisher in publishers:
                self.node.destroy_publisher(publisher)
        if publishers:
            self.node.destroy_timer(self.timer)


def label_info(header: Header, labels: LabelSet) -> Any:
    """Label set -> LabelInfo; ImportError without vision_msgs."""
    if LabelInfo is None or VisionClass is None:
        raise ImportError('the message LabelInfo needs vision_msgs; install the ROS package '
                          'vision_msgs')
    return LabelInfo(header=header, threshold=0.0, class_map=[
        VisionClass(class_id=number, class_name=name)
        for number, name in enumerate(labels.names)])
