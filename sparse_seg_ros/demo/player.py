# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The camera of the demo, and its recorder: `python -m sparse_seg_ros.demo.player JOB RESULT`.

A process of its own, as a camera driver would be. It waits until the node is ready, publishes the
images of a bag at the pace of the bag, and records images and answers into another bag. Messages
pass through as bytes.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosbags.interfaces import Connection
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    COMPRESSED,
    IMAGE,
    BagDamageError,
    MessageError,
    parse,
    raw_stamp_nanoseconds,
)
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.image_topics import choose_images

READY_SECONDS, SILENT_SECONDS, MATCH_SECONDS = 180.0, 30.0, 20.0
LONGEST_PAUSE_SECONDS = 0.5  # of the bag; longer ones are cut
MEDIA = {IMAGE: Image, COMPRESSED: CompressedImage}
OUTPUTS = ('mask', 'uncertainty', 'overlay', 'refined')
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
Counters = dict[str, int]


@dataclass(frozen=True)
class PlayJob:
    """What is played, where to, and how much of it."""

    bag: str
    recording: str
    topic: str
    frames: int
    rate: float = 1.0  # 2 = twice as fast as the bag


class Player:
    """Publishes the images of a bag and records what comes back."""

    def __init__(self, job: PlayJob, out: BagWriter, message_type: str):
        self.job, self.out, self.message_type = job, out, message_type
        self.changed = threading.Condition()
        self.sent: dict[int, float] = {}      # stamp -> monotonic second
        self.latency: dict[int, float] = {}   # stamp -> milliseconds until its mask was here
        self.counters: Counters = {}
        self.engine: DiagnosticStatus | None = None
        self.reports, self.clock_offset = 0, 0
        self.node = rclpy.create_node('demo_camera')
        self.publisher = self.node.create_publisher(MEDIA[message_type], job.topic, RELIABLE)
        for name in OUTPUTS:
            self.record(f'segmentation/{name}', Image, IMAGE)
        self.record('segmentation/timing', DiagnosticArray, 'diagnostic_msgs/msg/DiagnosticArray')
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self.hear_health, 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def record(self, topic: str, kind: type, message_type: str) -> None:
        """Subscribe to a topic of the node and write its messages down."""
        topic = self.node.resolve_topic_name(topic)

        def write(raw: bytes) -> None:
            with self.changed:
                self.out.write_raw(topic, message_type, self.bag_time(), raw)
                stamp = raw_stamp_nanoseconds(raw)
                if topic.endswith('/mask') and stamp in self.sent:
                    self.latency[stamp] = (time.monotonic() - self.sent[stamp]) * 1e3
                self.changed.notify_all()
        self.node.create_subscription(kind, topic, write, RELIABLE, raw=True)

    def hear_health(self, message: DiagnosticArray) -> None:
        """Keep what the node says of itself: its engine and what became of the frames."""
        with self.changed:
            for status in message.status:
                if status.name.endswith(': engine'):
                    self.engine = status
                elif status.name.endswith(': camera frames'):
                    self.counters = {pair.key: int(pair.value) for pair in status.values
                                     if pair.value.isdigit()}
            self.reports += 1
            self.changed.notify_all()

    def close(self) -> None:
        """Leave ROS in order: no callback may come after the recording is closed."""
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()

    def bag_time(self) -> int:
        """Return now on the clock of the bag, in nanoseconds."""
        return time.monotonic_ns() + self.clock_offset

    def play(self, frames: Iterator[tuple[int, bytes]]) -> dict[str, Any]:
        """Wait for the node, publish all frames, wait for the last answer -> what happened."""
        self.wait_until_ready()
        start, count = time.monotonic(), 0
        images = paced(frames, self.job.rate)
        for nanoseconds, raw in tqdm(images, 'playing', self.job.frames, leave=False):
            with self.changed:
                self.clock_offset = nanoseconds - time.monotonic_ns()
                self.sent[raw_stamp_nanoseconds(raw)] = time.monotonic()
                self.out.write_raw(self.job.topic, self.message_type, nanoseconds, raw)
            self.publisher.publish(raw)
            count += 1
        seconds = time.monotonic() - start
        self.wait_until_answered(count)
        return {'sent': count, 'seconds': seconds, 'counters': self.counters,
                'engine': {pair.key: pair.value for pair in self.engine.values},
                'stamps': list(self.sent), 'latency_milliseconds': list(self.latency.values())}

    def wait_until_ready(self) -> None:
        """Wait until the node is active and every topic has its two ends."""
        self.wait(lambda: self.engine is not None, READY_SECONDS,
                  'the node sends no diagnostics; do the processes find each other?')
        self.wait(self.is_active, READY_SECONDS, 'the node does not become active')
        self.wait(self.is_matched, MATCH_SECONDS, 'the topics of the node were not found')
        self.wait_for_reports(2)  # the node has seen us, too

    def is_active(self) -> bool:
        """Tell whether the node serves images; its own error is raised."""
        if self.engine.level == DiagnosticStatus.ERROR:
            raise ChildProcessError(f'the node says: {self.engine.message}')
        return self.engine.message == 'active'

    def is_matched(self) -> bool:
        """Tell whether the node listens to our images and publishes all that is recorded."""
        return self.publisher.get_subscription_count() > 0 and all(
            self.node.count_publishers(f'segmentation/{name}') for name in (*OUTPUTS, 'timing'))

    def wait_until_answered(self, count: int) -> None:
        """Wait until every frame has its outcome; two equal reports mean that the rest is lost."""
        before: Counters = {}
        while True:
            self.wait_for_reports(1)
            now = dict(self.counters)
            is_complete = now['received'] >= count and not now['waiting']
            if is_complete or now == before and not now['waiting']:
                return
            if now == before:
                self.wait(lambda known=now: self.counters != known, READY_SECONDS,
                          'the node finishes no frame; does its model hang?')
            before = now

    def wait_for_reports(self, number: int) -> None:
        """Wait for a number of further diagnostics."""
        end = self.reports + number
        self.wait(lambda: self.reports >= end, SILENT_SECONDS, 'the node fell silent')

    def wait(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait for something that a message changes."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition():
                if time.monotonic() > end:
                    raise TimeoutError(f'{otherwise} (waited {seconds:.0f} s)')
                self.changed.wait(0.2)


def paced(frames: Iterator[tuple[int, bytes]], rate: float) -> Iterator[tuple[int, bytes]]:
    """Pass frames on at the moments of their bag, or faster, or slower."""
    due, before = time.monotonic(), None
    for nanoseconds, raw in frames:
        if before is not None:
            pause = (nanoseconds - before) / 1e9
            due += min(max(pause, 0.0), LONGEST_PAUSE_SECONDS) / rate
        before = nanoseconds
        time.sleep(max(0.0, due - time.monotonic()))
        yield nanoseconds, raw


def read_frames(bag: Bag, images: Connection, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield (log time in nanoseconds, bytes) of the first images that can be read."""
    try:
        for connection, nanoseconds, raw in bag.messages():
            if (connection.topic, connection.msgtype) == (images.topic, images.msgtype):
                try:
                    parse(raw, connection.msgtype)
                except MessageError as error:
                    tqdm.write(f'not played: {error}', file=sys.stderr)
                    continue
                yield nanoseconds, raw
                count -= 1
            if count <= 0:
                return
    except BagDamageError as damage:
        tqdm.write(str(damage), file=sys.stderr)


def play(job: PlayJob) -> dict[str, Any]:
    """Play one job in this process."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # a signal ends this process
    try:
        with Bag(job.bag) as bag, BagWriter(job.recording) as out:
            for note in bag.notes:
                tqdm.write(note, file=sys.stderr)
            images = choose_images(bag, job.topic)
            player = Player(job, out, images.msgtype)
            try:
                return player.play(read_frames(bag, images, job.frames))
            finally:
                player.close()
    finally:
        rclpy.try_shutdown()


def main() -> int:
    """Play, and write the report, or an error, into the result file -> exit code."""
    job, result = PlayJob(**json.loads(sys.argv[1])), Path(sys.argv[2])
    try:
        report = play(job)
    except (ValueError, OSError) as error:
        report = {'error': str(error)}
    except KeyboardInterrupt:
        return 130
    result.write_text(json.dumps(report))
    return 1 if 'error' in report else 0


def arguments(job: PlayJob, result: Path) -> list[str]:
    """Return the command line of this process."""
    return [json.dumps(asdict(job)), str(result)]


if __name__ == '__main__':
    sys.exit(main())
