# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Console script `segmentation_node`: the node as a process that ends well, whatever it is doing.

The main thread only waits for signals; a thread of its own imports, loads and serves. Nothing
heavy is imported before the signals are heard.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sparse_seg_ros.config import choices_of
from sparse_seg_ros.node_config import NodeConfig

if TYPE_CHECKING:
    from sparse_seg_ros.ros.node import SegmentationNode

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 1.0  # for an orderly end; what loads or hangs in native code is left behind
FLUSH_SECONDS = 0.3
LAST_SECONDS = 5.0  # DDS can wait for itself, and keeps the interpreter from all threads then
SPIN_SECONDS = 0.1  # signals are seen between spins
YIELD_SECONDS = 0.0002  # rclpy submits a callback again and again until a thread has begun it
NUM_THREADS = 3  # a transition, an image, a service or timer
USAGE = """\
usage: segmentation_node [--help] [--ros-args ...]

Segments the images of a camera, or of several, as a lifecycle node of ROS 2.

examples:
  segmentation_node --ros-args -r image:=/camera/image_raw
  segmentation_node --ros-args -p model:=my.yaml -p device:=cuda -r __ns:=/robot
  segmentation_node --ros-args --params-file my_node.yaml

topics: image in; segmentation/mask, uncertainty, refined, confidence, color and overlay out

parameters, with their defaults (config/node.yaml has them all):
"""
CHANGES = {'never': '', 'unconfigured': ' (changes while unconfigured)', 'live': ' (live)'}


def main(arguments: Sequence[str] | None = None,
         load: Callable[[Any], Any] | None = None) -> int:
    """
    Run the node until SIGINT or SIGTERM, and end the process with code 0.

    The code is 1 where the parameters were bad, or DDS hung at the end. The signal may come
    several times, as under `ros2 launch`. `load` makes the segmenter from the parameters; None
    loads the model they name.
    A node that does not end in time is left behind with the process. Only --help returns.
    """
    ends = queue.SimpleQueue()  # safe in a signal handler, which may interrupt itself
    for number in SIGNALS:
        signal.signal(number, lambda *_: ends.put(None))
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if {'-h', '--help'} & set(arguments):
        print(node_help())
        return 0
    server = Server(arguments, load, ends)
    server.start()
    ends.get()
    faulthandler.dump_traceback_later(LAST_SECONDS, exit=True)  # needs no interpreter to do so
    server.stopping.set()
    server.join(0.0 if server.is_importing else GRACE_SECONDS)
    for number in SIGNALS:  # the interpreter takes its time to end, and must not be killed there
        signal.signal(number, signal.SIG_IGN)
    if server.is_alive():
        leave_behind(server)
        server.code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(server.code)  # the interpreter would take seconds to take torch apart


class Server(threading.Thread):
    """Imports ROS and serves the node until `stopping` is set; puts into `ends` when it ends."""

    def __init__(self, arguments: list[str], load: Callable[[Any], Any] | None,
                 ends: queue.SimpleQueue):
        super().__init__(name='node', daemon=True)
        self.arguments, self.load, self.ends = arguments, load, ends
        self.stopping = threading.Event()
        self.is_importing, self.code = True, 1
        self.node: SegmentationNode | None = None

    def run(self) -> None:
        """Serve; runs in the thread."""
        try:
            self.code = self.serve()
        finally:
            self.is_importing = False
            self.ends.put(None)

    def serve(self) -> int:
        """Make the node and serve it -> exit code."""
        import rclpy
        from rclpy.exceptions import NameValidationException, ParameterException
        from rclpy.logging import get_logger
        from rclpy.signals import SignalHandlerOptions

        from sparse_seg_ros.memory import keep_freed_memory
        from sparse_seg_ros.ros.node import SegmentationNode, load_model
        from sparse_seg_ros.stream.forwarded_log import forward_log
        from sparse_seg_ros.texts import LONG, cut, describe_error

        self.is_importing = False
        keep_freed_memory()
        try:
            rclpy.init(args=self.arguments, signal_handler_options=SignalHandlerOptions.NO)
            self.node = SegmentationNode(self.load or load_model)
        except (ValueError, RuntimeError, NameValidationException, ParameterException) as error:
            text = cut(str(error), LONG) if type(error) is ValueError else describe_error(error)
            get_logger('segmentation').fatal(text)
            rclpy.try_shutdown()
            return 1
        forward_log(self.node.get_logger())
        spin(self.node, self.stopping)
        self.node = None
        gc.collect()  # the last reference gone, DDS tells the others that the node has left
        rclpy.try_shutdown()
        return 0


def spin(node: SegmentationNode, stopping: threading.Event) -> None:
    """Serve the node until `stopping` is set, then free everything."""
    from rclpy.executors import MultiThreadedExecutor

    executor = MultiThreadedExecutor(NUM_THREADS)
    executor.add_node(node)
    starter = threading.Thread(target=node.autostart, daemon=True)
    starter.start()  # off the executor, which serves meanwhile
    while not stopping.wait(YIELD_SECONDS):  # gives that thread the interpreter
        try:
            executor.spin_once(timeout_sec=SPIN_SECONDS)
        except Exception as error:  # the edge that must survive: a callback, or a request to rclpy
            node.diagnostics.add_error(error)
    starter.join()
    executor._executor.shutdown()  # its threads: rclpy frees what their callbacks still use
    executor.shutdown()
    node.release()
    log_counters(node)
    node.destroy_node()


def log_counters(node: SegmentationNode) -> None:
    """Log what has become of all frames."""
    from sparse_seg_ros.stream.health import describe_counters

    node.get_logger().info(f'final counters: {describe_counters(node.slots)}')


def leave_behind(server: Server) -> None:
    """Say that the process ends although the node is still busy, and write the log."""
    if not server.is_importing:
        from rclpy.logging import get_logger

        get_logger('segmentation').warning(
            f'the node did not end within {GRACE_SECONDS} s: the model still loads, or hangs in a '
            'frame; the process ends without it')
        flush = threading.Thread(target=flush_log, args=(server.node,), daemon=True)
        flush.start()  # may hang with the rest
        flush.join(FLUSH_SECONDS)


def flush_log(node: SegmentationNode | None) -> None:
    """Log the counters of a node that is left behind, and write the log."""
    import rclpy

    if node is not None:
        log_counters(node)
    rclpy.try_shutdown()


def node_help() -> str:
    """Return usage, examples and all parameters."""
    lines = []
    for item in fields(NodeConfig):
        about = item.metadata
        default = 'null' if item.default is None else str(item.default)
        choices = f" ({', '.join(choices_of(item))})" if about['choices'] else ''
        lines.append(f'  {item.name}: {default}{CHANGES[about["changes"]]}\n'
                     f'      {about["about"]}{choices}')
    return USAGE + '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
