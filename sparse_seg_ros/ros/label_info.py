# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""segmentation/label_info: class ids and names, where vision_msgs is installed."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import Header

from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.ros import qos

PERIOD_SECONDS = 5.0  # bags started late miss latched messages

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # optional: not on PyPI
    LabelInfo = None


class LabelInfoPublisher:
    """Publishes the label set latched and every few seconds; nothing without vision_msgs."""

    def __init__(self, node: Node, labels: LabelSet):
        self.node, self.publisher = node, None
        if LabelInfo is None:
            return
        self.labels = labels
        self.publisher = node.create_publisher(LabelInfo, 'segmentation/label_info',
                                               qos.latched_profile())
        self.timer = node.create_timer(PERIOD_SECONDS, self.publish)
        self.publish()

    def publish(self) -> None:
        """Publish the names of all class ids."""
        header = Header(stamp=self.node.get_clock().now().to_msg())
        self.publisher.publish(LabelInfo(header=header, threshold=0.0, class_map=[
            VisionClass(class_id=number, class_name=name)
            for number, name in enumerate(self.labels.names)]))

    def destroy(self) -> None:
        """Undo publisher and timer."""
        if self.publisher is not None:
            self.node.destroy_timer(self.timer)
            self.node.destroy_publisher(self.publisher)
