# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Services of the node: ~/set_enabled pauses it, ~/snapshot keeps its next frame for a report."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.utilities import get_rmw_implementation_identifier
from std_srvs.srv import SetBool, Trigger

from sparse_seg_ros.machine import installed
from sparse_seg_ros.ros.diagnostics import WatchedNode
from sparse_seg_ros.stream.health import ACTIVE
from sparse_seg_ros.stream.recovery import tried
from sparse_seg_ros.stream.snapshot import NextFrame, check_folder, write_snapshot
from sparse_seg_ros.texts import LONG, cut, describe_error

THROTTLE_SECONDS = 5.0
FRAME_SECONDS = 5.0  # that a snapshot waits for a frame
LOOK_SECONDS = 0.01  # between two looks whether the snapshot is written
PACKAGES = ('sparse_seg_ros', 'torch', 'numpy', 'opencv-python-headless', 'ros-rclpy')


class Services:
    """Serves ~/set_enabled and ~/snapshot of a node."""

    def __init__(self, node: WatchedNode, next_frame: NextFrame):
        self.node, self.next_frame = node, next_frame
        node.create_service(SetBool, '~/set_enabled', self.set_enabled)
        callback: Any = self.snapshot  # rclpy takes coroutines, its type hints do not
        node.create_service(Trigger, '~/snapshot', callback,
                            callback_group=MutuallyExclusiveCallbackGroup())

    def set_enabled(self, request: SetBool.Request, response: SetBool.Response
                    ) -> SetBool.Response:
        """Take images or leave them; what was taken before is still published."""
        node = self.node
        if request.data and not node.is_enabled:
            for camera in list(node.cameras.values()):
                camera.await_images()
        node.is_enabled, response.success = request.data, True
        response.message = 'enabled' if request.data else \
            'disabled: images are not taken, the model stays'
        if node.state != ACTIVE:
            response.message += f'; the node is {node.state}, so this holds once it is active'
        node.get_logger().info(f'set_enabled: {response.message}')
        return response

    async def snapshot(self, request: Trigger.Request, response: Trigger.Response
                       ) -> Trigger.Response:
        """
        Answer with the folder of a snapshot, or with the reason why there is none.

        A thread of its own waits and writes; the executor serves everything else meanwhile, even
        one with a single thread.
        """
        thread = threading.Thread(target=self.take_snapshot, args=(response,), daemon=True,
                                  name='snapshot')
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_SECONDS)
            await Turn()
        return response

    def take_snapshot(self, response: Trigger.Response) -> None:
        """Wait for a frame, write it, and fill the response."""
        made = tried(lambda: self.write(snapshot_folder(self.node.config.snapshot_folder)))
        response.success = not isinstance(made, Exception)
        is_said = isinstance(made, (Path, ValueError, OSError))  # in words of its own
        response.message = cut(str(made), LONG) if is_said else describe_error(made)
        self.node.get_logger().info(f'snapshot: {response.message}',
                                    throttle_duration_sec=THROTTLE_SECONDS)

    def write(self, folder: Path) -> Path:
        """Wait for a frame and write it -> its folder."""
        self.check_takes_images()
        check_folder(folder)
        shot = self.next_frame.wait(FRAME_SECONDS)
        if shot is None:
            self.check_takes_images()
            raise ValueError(f'no frame came within {FRAME_SECONDS:.0f} s; /diagnostics says why')
        return write_snapshot(shot, self.describe(), folder)

    def check_takes_images(self) -> None:
        """Raise ValueError while the node takes no images."""
        if self.node.state != ACTIVE:
            raise ValueError(f'the node must be active, it is {self.node.state}; activate it')
        if not self.node.is_enabled:
            raise ValueError('the node must be enabled, it is disabled; call ~/set_enabled')

    def describe(self) -> dict[str, Any]:
        """Return parameters, model, statuses and versions."""
        node, segmenter = self.node, self.node.segmenter
        worker = node.worker
        return {'node': node.get_fully_qualified_name(), 'parameters': asdict(node.config),
                'model': dict(segmenter.description) if segmenter else {},
                'last losses': dict(worker.losses) if worker else {},
                'counters': {name: asdict(node.slots.counters(name)) for name in node.cameras},
                'versions': {name: installed(name) for name in PACKAGES},
                'middleware': get_rmw_implementation_identifier(),
                'distribution': os.environ.get('ROS_DISTRO')}


class Turn:
    """Awaited, lets the executor serve others once; rclpy has no sleep of its own."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def snapshot_folder(setting: str | None) -> Path:
    """Return the folder of a setting; null is one below ROS_HOME, as of the logs."""
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return Path(setting).expanduser() if setting else home / 'sparse_seg_ros' / 'snapshots'
