# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Console script `segmentation_node`: the node as a process that ends well."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import MultiThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from sparse_seg_ros.memory import keep_freed_memory

if TYPE_CHECKING:
    from sparse_seg_ros.ros.node import SegmentationNode

SPIN_SECONDS = 0.1  # signals are seen between spins
YIELD_SECONDS = 0.0002  # rclpy submits a callback again and again until a thread has begun it
NUM_THREADS = 3  # a transition, an image, a service or timer


def main(arguments: Sequence[str] | None = None,
         load: Callable[[Any], Any] | None = None) -> int:
    """
    Run the node until SIGINT or SIGTERM -> exit code, 0 unless the parameters were bad.

    The signal may come several times, as under `ros2 launch`. `load` makes the segmenter from
    the parameters; None loads the model they name.
    """
    keep_freed_memory()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    from sparse_seg_ros.ros.node import SegmentationNode, load_model  # imports torch: seconds

    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegmentationNode(load or load_model)
    except ValueError as error:
        rclpy.logging.get_logger('segmentation').fatal(str(error))
        rclpy.shutdown()
        return 1
    spin(node, stopping)
    rclpy.shutdown()
    return 0


def spin(node: SegmentationNode, stopping: threading.Event) -> None:
    """Serve the node until told to stop, then free everything."""
    executor = MultiThreadedExecutor(NUM_THREADS)
    executor.add_node(node)
    starter = threading.Thread(target=node.autostart, daemon=True)
    starter.start()  # off the executor, which serves meanwhile
    while not stopping.is_set():
        executor.spin_once(timeout_sec=SPIN_SECONDS)
        time.sleep(YIELD_SECONDS)  # gives that thread the interpreter
    starter.join()
    node.release()
    executor.shutdown()
    node.destroy_node()


if __name__ == '__main__':
    sys.exit(main())
