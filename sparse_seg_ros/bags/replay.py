# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment EVERY image of a bag, offline: bag -> bag with masks, and numbers.

Playing a bag into the node tests latency, and drops what comes too fast; this does not.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rosbags.interfaces import Connection
from tqdm import tqdm

from sparse_seg_ros.bags import bag_messages
from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import (
    IMAGE_TYPES,
    TYPES,
    BagDamageError,
    parse,
)
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.bags.scores import Scores, Stamps
from sparse_seg_ros.config import NodeConfig
from sparse_seg_ros.messages.fields import image_fields, stamp_nanoseconds
from sparse_seg_ros.messages.pixels import to_labels, to_rgb
from sparse_seg_ros.messages.status import ONLY_CAMERA, REFINED, diagnostic_array, frame_status
from sparse_seg_ros.new_paths import check_beside, check_can_hold, check_is_new
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.preview import Preview
from sparse_seg_ros.stream.outputs import OUTPUTS, SegmentedFrame
from sparse_seg_ros.stream.stage_times import StageTimes
from sparse_seg_ros.threads import Threads

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter

WRITTEN = ('mask', 'uncertainty')
REPLACED = (*WRITTEN, 'timing', 'label_info')
INVALID_NAMED = 10  # the others are only counted
DIAGNOSTICS = SimpleNamespace(**{
    name: TYPES.types[f'diagnostic_msgs/msg/{name}']
    for name in ('DiagnosticArray', 'DiagnosticStatus', 'KeyValue')})


@dataclass(frozen=True)
class ReplayJob:
    """What to replay, and where to."""

    bag: Path
    output: Path
    topic: str | None = None
    labels: str | None = None
    preview: Path | None = None
    numbers: Path | None = None  # JSON
    storage: str = 'mcap'
    metadata: int = 8
    config: NodeConfig = field(default_factory=NodeConfig)

    def check(self) -> None:
        """Raise ValueError for a place that cannot be written to, before any work is done."""
        for path, what in ((self.output, 'output'), (self.preview, 'preview'),
                           (self.numbers, 'file')):
            if path is not None:
                check_is_new(Path(path), what, may_be_empty=what == 'preview')
                check_beside(Path(path), Path(self.bag), what)
                check_can_hold(Path(path).parent, f'{what} {path}')


class Replay:
    """One replay in progress."""

    def __init__(self, job: ReplayJob, segmenter: Segmenter):
        job.check()
        self.job, self.segmenter = job, segmenter
        self.times, self.densities = StageTimes(capacity=None), []
        self.frames = self.invalid = 0
        self.replaced: Counter[str] = Counter()
        self.scores: Scores | None = None
        self.preview: Preview | None = None
        self.threads = Threads()

    def run(self, progress: Callable[[Iterable, int], Iterable]) -> dict[str, Any]:
        """Replay all of the bag -> report, its 'damage' None or what the bag lacks."""
        start = time.perf_counter()
        with Bag(self.job.bag) as bag:
            self.images = choose_images(bag, self.job.topic, self.job.labels)
            if self.job.labels:
                choose_images(bag, self.job.labels)
                self.scores = Scores(len(self.segmenter.labels),
                                     Stamps(bag, self.images.topic, self.job.labels))
            self.base = base_topic(self.images.topic)
            self.own_topics = {f'{self.base}/segmentation/{name}' for name in REPLACED}
            with BagWriter(self.job.output, self.job.storage, self.job.metadata) as out:
                if self.job.preview:
                    self.preview = Preview(self.job.preview, self.segmenter.labels)
                damage = self.add_all(out, bag, progress)
        if self.preview:
            self.preview.close()
        for note in [*bag.notes, *self.notes()]:
            print(note, file=sys.stderr)
        return {**self.report(time.perf_counter() - start), 'damage': damage}

    def notes(self) -> Iterable[str]:
        """Yield what a user should know of the messages."""
        if self.invalid > INVALID_NAMED:
            yield f'{self.invalid - INVALID_NAMED} more messages were invalid'
        if not self.frames + self.invalid:
            yield f'{self.images.topic} has no messages of type {self.images.msgtype}'
        if self.replaced:
            names = ', '.join(f'{topic} ({count})' for topic, count in self.replaced.items())
            yield f'outputs of an earlier run were replaced: {names}'
        if self.preview:
            yield from self.preview.notes
        if self.scores and (words := self.scores.stamps.describe(self.scores.pairs)):
            yield words

    def add_all(self, out: BagWriter, bag: Bag, progress: Callable[[Iterable, int], Iterable]
                ) -> str | None:
        """Take in every message of the bag -> what it lacks, if anything."""
        try:
            for message in progress(bag.messages(), bag.message_count):
                self.add(out, *message)
        except BagDamageError as damage:
            return str(damage)
        return None

    def add(self, out: BagWriter, connection: Connection, nanoseconds: int, raw: bytes) -> None:
        """Copy one message, and segment or score it."""
        topic, kind = connection.topic, connection.msgtype
        if topic in self.own_topics:
            self.replaced[topic] += 1
        else:
            out.copy(connection, nanoseconds, raw)
        if (topic, kind) == (self.images.topic, self.images.msgtype):
            self.add_image(out, nanoseconds, raw)
        elif topic == self.job.labels and kind in IMAGE_TYPES:
            with self.unless_invalid(topic, nanoseconds):
                self.add_labels(parse(raw, kind))

    @contextmanager
    def unless_invalid(self, topic: str, nanoseconds: int) -> Iterator[None]:
        """Count and name a message that cannot be used, and go on."""
        try:
            yield
        except (ValueError, RuntimeError, cv2.error) as error:
            self.invalid += 1
            if self.invalid <= INVALID_NAMED:
                tqdm.write(f'{topic}, message at {nanoseconds} ns: {error}', file=sys.stderr)

    def add_image(self, out: BagWriter, nanoseconds: int, raw: bytes) -> None:
        """Segment one image and write what comes of it."""
        frame = None
        with self.unless_invalid(self.images.topic, nanoseconds):
            message = parse(raw, self.images.msgtype)
            image = to_rgb(message, self.job.config.max_pixels)
            self.threads.share()
            wants = {'merged'}.intersection(self.segmenter.method.optional) \
                if self.preview else ()
            seen = self.segmenter(image, wants=wants)
            frame = SegmentedFrame(image, seen, self.segmenter.labels,
                                   self.job.config.uncertainty_encoding)
        if frame:
            self.keep(out, nanoseconds, message.header, frame)

    def keep(self, out: BagWriter, nanoseconds: int, header: Any, frame: SegmentedFrame) -> None:
        """Keep what comes of one frame."""
        stamp = stamp_nanoseconds(header)
        self.frames += 1
        self.times.add(frame.prediction.milliseconds)
        self.densities.append(frame.prediction.density)
        self.write(out, nanoseconds, header, frame)
        if self.preview:
            self.preview.add(stamp, frame.image, frame.prediction)
        if self.scores:
            with self.unless_invalid(self.job.labels, nanoseconds):
                self.scores.add('prediction', stamp, frame.prediction.labels)

    def add_labels(self, message: Any) -> None:
        """Score against the true labels of a frame."""
        self.scores.add('truth', stamp_nanoseconds(message.header), to_labels(message).copy())

    def write(self, out: BagWriter, nanoseconds: int, header: Any, frame: SegmentedFrame) -> None:
        """Write mask, uncertainty and timing under the header of the image."""
        if self.frames == 1:
            out.write(f'{self.base}/segmentation/label_info', bag_messages.LABEL_INFO,
                      nanoseconds, label_info(header, frame.labels.names))
        for name in WRITTEN:
            output = OUTPUTS[name]
            out.write(f'{self.base}/segmentation/{name}', bag_messages.IMAGE, nanoseconds,
                      bag_image(header, output.make(frame), output.encoding(frame)))
        camera = self.base.strip('/') or ONLY_CAMERA
        status = frame_status(camera, frame.prediction.milliseconds, facts(frame.prediction))
        out.write(f'{self.base}/segmentation/timing', bag_messages.DIAGNOSTIC_ARRAY,
                  nanoseconds, diagnostic_array(DIAGNOSTICS, header, 'segmentation', [status]))

    def report(self, seconds: float) -> dict[str, Any]:
        """Return all numbers of the replay."""
        return {'bag': str(self.job.bag), 'output': str(self.job.output),
                'topic': self.images.topic, 'model': dict(self.segmenter.description),
                'frames': self.frames, 'invalid': self.invalid, 'seconds': round(seconds, 3),
                'fps': round(self.frames / max(seconds, 1e-9), 3),
                'milliseconds': self.times.percentiles(50, 95),
                'refined': round(float(np.mean(self.densities)), 5) if self.densities else 0.0,
                **(self.scores.report(self.segmenter.labels) if self.scores else {})}


def facts(seen: Prediction) -> dict[str, Any]:
    """Return what ~/timing says beside times."""
    return {REFINED: round(seen.density, 5)}


def base_topic(image_topic: str) -> str:
    """Return the camera's namespace: /camera/image_raw/compressed -> /camera."""
    return image_topic.removesuffix('/compressed').rpartition('/')[0]


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
