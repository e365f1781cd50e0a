# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The camera of the demo, and its recorder: `python -m sparse_seg_ros.demo.player JOB RESULT`.

It is a process of its own, as a camera driver is. It waits until the node is ready, publishes the
images of a bag at the pace of the bag, and records images and results into another bag. Messages
stay bytes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from tqdm import tqdm

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    DIAGNOSTIC_ARRAY,
    IMAGE,
    BagDamageError,
    MessageError,
    parse,
    raw_stamp_nanoseconds,
)
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.demo.recording import ANSWERS
from sparse_seg_ros.ros.probe import Probe, open_ros
from sparse_seg_ros.stream.health import ENGINE

LONGEST_PAUSE_SECONDS = 0.5  # of the bag; longer ones are cut


@dataclass(frozen=True)
class PlayJob:
    """What is played, where to, and how much of it."""

    bag: str
    recording: str
    topic: str
    frames: int
    rate: float = 1.0  # 2 = twice as fast as the bag


class Player:
    """Publishes the images of a bag through a probe and records what comes back."""

    def __init__(self, job: PlayJob, out: BagWriter, probe: Probe, image_type: str):
        self.job, self.out, self.probe, self.image_type = job, out, probe, image_type
        self.sent: dict[int, float] = {}      # stamp -> monotonic second
        self.masked: dict[int, float] = {}    # stamp -> monotonic second when its mask was here
        self.clock_offset = 0
        for name in ANSWERS:
            probe.listen(f'segmentation/{name}', IMAGE, partial(self.record, IMAGE), raw=True)
        probe.listen('segmentation/timing', DIAGNOSTIC_ARRAY,
                     partial(self.record, DIAGNOSTIC_ARRAY), raw=True)

    def record(self, message_type: str, topic: str, raw: bytes) -> None:
        """Write down a message of the node."""
        self.out.write_raw(topic, message_type, self.bag_time(), raw)
        stamp = raw_stamp_nanoseconds(raw)
        if topic.endswith('/mask') and stamp in self.sent:
            self.masked.setdefault(stamp, time.monotonic())

    def bag_time(self) -> int:
        """Return now on the clock of the bag, in nanoseconds."""
        return time.monotonic_ns() + self.clock_offset

    def play(self, frames: Iterator[tuple[int, bytes]]) -> dict[str, Any]:
        """Wait for the node, publish all frames, wait for the last answer -> what happened."""
        self.probe.wait_until_ready()
        start, count = time.monotonic(), 0
        images = paced(frames, self.job.rate)
        for nanoseconds, raw in tqdm(images, 'playing', self.job.frames, leave=False):
            with self.probe.changed:
                self.clock_offset = nanoseconds - time.monotonic_ns()
                self.sent[raw_stamp_nanoseconds(raw)] = time.monotonic()
                self.out.write_raw(self.job.topic, self.image_type, nanoseconds, raw)
            self.probe.publisher.publish(raw)
            count += 1
        seconds = time.monotonic() - start
        counters = self.probe.wait_until_settled(count)
        return {'sent': count, 'seconds': seconds, 'counters': counters,
                'engine': dict(self.probe.statuses[ENGINE].values),
                'sent_seconds': seconds_since(start, self.sent),
                'masked_seconds': seconds_since(start, self.masked)}


def seconds_since(start: float, moments: dict[int, float]) -> list[tuple[int, float]]:
    """Stamp -> monotonic second -> stamps with the seconds since the start, in their order."""
    return [(stamp, moment - start) for stamp, moment in moments.items()]


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
    with Bag(job.bag) as bag, BagWriter(job.recording) as out, open_ros():
        for note in bag.notes:
            tqdm.write(note, file=sys.stderr)
        images = choose_images(bag, job.topic)
        with Probe('demo_camera', job.topic, images.msgtype) as probe:
            player = Player(job, out, probe, images.msgtype)
            return player.play(read_frames(bag, images, job.frames))


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
