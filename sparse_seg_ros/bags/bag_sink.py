# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bag that a replay writes: its input, with mask, uncertainty and timing beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from rosbags.interfaces import Connection

from sparse_seg_ros.bags import bag_messages
from sparse_seg_ros.bags.bag_messages import TYPES, raw_topic
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.messages.fields import image_fields
from sparse_seg_ros.messages.status import ONLY_CAMERA, diagnostic_array, frame_facts, frame_status
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.stream.outputs import OUTPUTS, SegmentedFrame

WRITTEN = ('mask', 'uncertainty')
REPLACED = (*WRITTEN, 'timing', 'label_info')
DIAGNOSTICS = SimpleNamespace(**{
    name: TYPES.types[f'diagnostic_msgs/msg/{name}']
    for name in ('DiagnosticArray', 'DiagnosticStatus', 'KeyValue')})


class BagSink:
    """
    Writes a bag: all messages of another bag, and the outputs for each of its images.

    replaced: outputs of an earlier run, by topic, in whose place new ones are written.
    """

    def __init__(self, out: BagWriter, image_topic: str, labels: LabelSet, encoding: str):
        self.out, self.labels, self.encoding = out, labels, encoding
        self.base, self.count = base_topic(image_topic), 0
        self.own_topics = {f'{self.base}/segmentation/{name}' for name in REPLACED}
        self.replaced: Counter[str] = Counter()

    def copy_topics(self, connections: Iterable[Connection]) -> None:
        """Copy the topics of another bag, those without messages, too."""
        for connection in connections:
            if connection.topic not in self.own_topics:
                self.out.copy_topic(connection)

    def copy(self, connection: Connection, nanoseconds: int, raw: bytes) -> None:
        """Copy one message, unless it is an output of an earlier run."""
        if connection.topic in self.own_topics:
            self.replaced[connection.topic] += 1
        else:
            self.out.copy(connection, nanoseconds, raw)

    def __call__(self, frame: Frame, image: np.ndarray, prediction: Prediction) -> None:
        """Write mask, uncertainty and timing under the header of the image."""
        header, nanoseconds = frame.header.header, frame.header.nanoseconds
        segmented = SegmentedFrame(image, prediction, self.labels, self.encoding)
        self.count += 1
        if self.count == 1:
            self.write('label_info', bag_messages.LABEL_INFO, nanoseconds,
                       label_info(header, self.labels.names))
        for name in WRITTEN:
            output = OUTPUTS[name]
            self.write(name, bag_messages.IMAGE, nanoseconds, bag_image(
                header, output.make(segmented), output.encoding(segmented)))
        camera = self.base.strip('/') or ONLY_CAMERA
        status = frame_status(camera, prediction.milliseconds,
                              frame_facts(prediction.density))
        self.write('timing', bag_messages.DIAGNOSTIC_ARRAY, nanoseconds,
                   diagnostic_array(DIAGNOSTICS, header, 'segmentation', [status]))

    def write(self, name: str, message_type: str, nanoseconds: int, message: Any) -> None:
        """Write a message of a topic of ours."""
        self.out.write(f'{self.base}/segmentation/{name}', message_type, nanoseconds, message)


def base_topic(image_topic: str) -> str:
    """Return the camera's namespace: /camera/image_raw/compressed -> /camera."""
    return raw_topic(image_topic).rpartition('/')[0]


def bag_image(header: Any, array: np.ndarray, encoding: str) -> Any:
    """(H, W) or (H, W, 3) array -> Image message of rosbags."""
    return TYPES.types[bag_messages.IMAGE](
        header=header, **image_fields(array, encoding),
        data=np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def label_info(header: Any, names: Iterable[str]) -> Any:
    """Return the class ids and names as LabelInfo message of rosbags."""
    kind = TYPES.types['vision_msgs/msg/VisionClass']
    return TYPES.types[bag_messages.LABEL_INFO](
        header=header, threshold=0.0,
        class_map=[kind(class_id=number, class_name=name) for number, name in enumerate(names)])
