# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Takes the node through its transitions under load: python test/ros/transitions.py --cycles 100.

Images arrive all the time. After each configure, activate, a published frame, deactivate and
cleanup, the node must hold as many threads, descriptors and topics as after the others, and the
memory of the process must not grow with the cycles.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
WARM_UP_CYCLES = 1
PATIENCE_SECONDS = 60.0
PERIOD_SECONDS = 0.01  # between images: more than the model can take


@dataclass(frozen=True)
class Holdings:
    """What a process holds: numbers of each, and its memory."""

    threads: int
    descriptors: int
    publishers: int
    subscriptions: int
    timers: int
    services: int
    topics: int
    resident_mib: float

    def differences(self, other: Holdings) -> list[str]:
        """Return what another holds more or less of, but for memory, in words."""
        return [f'{name}: {value}, then {getattr(other, name)}' for name, value
                in vars(self).items() if name != 'resident_mib' and value != getattr(other, name)]


def look(node, peer) -> Holdings:
    """Return what the process of a node holds now."""
    gc.collect()
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    own = [name for name, _ in peer.get_topic_names_and_types()
           if '/segmentation/' in name and peer.count_publishers(name)]
    return Holdings(len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd')),
                    *(len(list(each)) for each in (node.publishers, node.subscriptions,
                                                   node.timers, node.services)),
                    len(own), pages * resource.getpagesize() / 2 ** 20)


def wait(is_done: Callable[[], bool], what: str) -> None:
    """Wait until something is done by other threads."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > end:
            raise TimeoutError(f'{what} did not happen in {PATIENCE_SECONDS} s')
        time.sleep(0.002)


@contextmanager
def served(node, peer):
    """Spin a node, and publish images from a peer all the time."""
    from rclpy.executors import MultiThreadedExecutor
    from ros_images import image
    from sensor_msgs.msg import Image

    executor, stopping = MultiThreadedExecutor(3), threading.Event()
    for each in (node, peer):
        executor.add_node(each)
    publisher = peer.create_publisher(Image, 'image', 1)

    def spin():
        while not stopping.is_set():
            executor.spin_once(timeout_sec=0.05)

    def flood():
        while not stopping.wait(PERIOD_SECONDS):
            publisher.publish(image())

    threads = [threading.Thread(target=target) for target in (spin, flood)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        executor.shutdown()


def cycle(node) -> None:
    """Configure, activate, publish a frame, deactivate, clean up."""
    from rclpy.lifecycle import TransitionCallbackReturn

    before = node.slots.counters('camera').published
    for step in (node.trigger_configure, node.trigger_activate):
        if step() != TransitionCallbackReturn.SUCCESS:
            raise RuntimeError(node.error)
    wait(lambda: node.slots.counters('camera').published > before, 'a published frame')
    for step in (node.trigger_deactivate, node.trigger_cleanup):
        if step() != TransitionCallbackReturn.SUCCESS:
            raise RuntimeError(node.error)


def run(node, peer, cycles: int) -> list[Holdings]:
    """Take a node through cycles -> what the process holds after each, but the first."""
    found = []
    with served(node, peer):
        for number in range(WARM_UP_CYCLES + cycles):
            cycle(node)
            wait(lambda: not peer.count_publishers('segmentation/mask'), 'the end of the topics')
            if number >= WARM_UP_CYCLES:
                found.append(look(node, peer))
    counts = node.slots.counters('camera')
    if counts.waiting or counts.published < cycles:
        raise AssertionError(f'the counters are not exact: {counts}')
    return found


def faults(found: list[Holdings], most_growth: float) -> list[str]:
    """Return what a node has lost or gathered from the first cycle to the last, in words."""
    first, last = found[len(found) // 10], found[-1]
    grown = last.resident_mib / first.resident_mib - 1
    return first.differences(last) + [
        f'memory: {first.resident_mib:.0f} MiB, then {last.resident_mib:.0f} MiB'] * (
            grown > most_growth)


def main() -> int:
    """Run from the command line -> exit code."""
    import rclpy
    from ros_fakes import make_segmenter

    from sparse_seg_ros.ros.node import SegmentationNode, load_model

    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('--cycles', type=int, default=100)
    parser.add_argument('--model', help='instead of the fake one, such as demo')
    parser.add_argument('--growth', type=float, default=0.03, help='of memory, most')
    parser.add_argument('--domain', type=int, default=91)
    arguments = parser.parse_args()
    os.environ |= {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_LOCALHOST_ONLY': '1'}
    rclpy.init(domain_id=arguments.domain)
    values = {'model': arguments.model, 'device': 'cpu'} if arguments.model else {}
    node = SegmentationNode(
        load_model if arguments.model else lambda config: make_segmenter(),
        parameter_overrides=[rclpy.parameter.Parameter(name, value=value)
                             for name, value in values.items()])
    found = run(node, rclpy.create_node('peer'), arguments.cycles)
    for number, each in enumerate(found):
        if number % max(1, len(found) // 10) == 0 or number == len(found) - 1:
            print(number + 1, each)
    wrong = faults(found, arguments.growth)
    print('\n'.join(wrong) or 'nothing was lost or gathered')
    return bool(wrong)


if __name__ == '__main__':
    sys.exit(main())
