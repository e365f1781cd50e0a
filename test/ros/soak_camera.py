# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A camera as a process: `python soak_camera.py NAME`, told on stdin how to go on.

A line 'HZ EVERY' sets the rate; each message of that number is no image, 0: none. The end of stdin
ends it, and it prints how many messages it has sent.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time

import rclpy
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sparse_seg_ros.data.street import street_frames
from sparse_seg_ros.messages.fields import image_message

SIZE_HW, SCENES = (360, 480), 6
BREAKS = ({'encoding': 'no such'}, {'step': 1}, {'height': 4000}, {'width': 0})


class Camera:
    """Publishes pictures of streets; rate_hz and broken_every may change at any time."""

    def __init__(self, name: str):
        self.rate_hz, self.broken_every, self.sent, self.ended = 0, 0, 0, threading.Event()
        self.breaks = itertools.cycle(BREAKS)
        self.node = rclpy.create_node(f'{name}_driver')
        self.publisher = self.node.create_publisher(
            Image, f'{name}/image', QoSProfile(depth=5),
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))
        first = sum(name.encode())
        scenes = [image for image, _ in street_frames(first, SCENES, SIZE_HW)]
        header = Header(frame_id=name)
        self.messages = itertools.cycle(
            [image_message(Image, header, image, 'rgb8') for image in scenes])

    def run(self) -> None:
        """Publish until ended, at an even pace."""
        due = time.monotonic()
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            if not self.rate_hz:
                due = time.monotonic() + 0.05
                continue
            due = max(due, time.monotonic() - 1.0) + 1 / self.rate_hz  # a late one catches up
            self.publish(next(self.messages))

    def publish(self, message: Image) -> None:
        """Publish a message with the stamp of this moment, or a broken one."""
        is_broken = self.broken_every and self.sent % self.broken_every == 0
        changes = next(self.breaks) if is_broken else {}
        former = {name: getattr(message, name) for name in changes}
        for name, value in changes.items():
            setattr(message, name, value)
        message.header.stamp = self.node.get_clock().now().to_msg()
        self.publisher.publish(message)
        self.sent += 1
        for name, value in former.items():
            setattr(message, name, value)


def main() -> None:
    """Run the camera."""
    rclpy.init()
    camera = Camera(sys.argv[1])
    publishing = threading.Thread(target=camera.run)
    publishing.start()
    print('ready', flush=True)
    for line in sys.stdin:
        camera.rate_hz, camera.broken_every = map(int, line.split())
    camera.ended.set()
    publishing.join()
    print(camera.sent, flush=True)
    camera.node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
