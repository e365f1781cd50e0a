# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment EVERY image of a bag, offline: bag -> bag with masks, and numbers.

Playing a bag into the node tests latency, and drops frames that come too fast. This drops none.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from rosbags.interfaces import Connection
from tqdm import tqdm

from sparse_seg_ros.bags import bag_messages
from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import TYPES
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.frames import BagFrames, BagLabels, Stamps
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.loop import segment_frames
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.messages.fields import image_fields
from sparse_seg_ros.messages.status import ONLY_CAMERA, diagnostic_array, frame_facts, frame_status
from sparse_seg_ros.new_paths import check_beside, check_can_hold, check_is_new
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.preview import Preview
from sparse_seg_ros.stream.outputs import OUTPUTS, SegmentedFrame
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
    uncertainty_encoding: str = '32FC1'
    max_pixels: int = NodeConfig.max_pixels

    def check(self) -> None:
        """Raise ValueError for a setting out of its range, or a place that takes no files."""
        NodeConfig(max_pixels=self.max_pixels, uncertainty_encoding=self.uncertainty_encoding)
        for path, what in ((self.output, 'output'), (self.preview, 'preview'),
                           (self.numbers, 'file')):
            if path is not None:
                check_is_new(Path(path), what, may_be_empty=what == 'preview')
                check_beside(Path(path), Path(self.bag), what)
                check_can_hold(Path(path).parent, f'{what} {path}')


class Replay:
    """One replay in progress: the loop over the frames of a bag, with another bag as its sink."""

    def __init__(self, job: ReplayJob, segmenter: Segmenter):
        job.check()
        self.job, self.segmenter = job, segmenter
        self.scores = Scores(segmenter.labels.names, counts_small=False)
        self.invalid, self.threads = 0, Threads()
        self.preview: Preview | None = None
        self.labels: BagLabels | None = None

    def run(self) -> dict[str, Any]:
        """Replay all of the bag -> report, its 'damage' None or what the bag lacks."""
        start, job = time.perf_counter(), self.job
        with Bag(job.bag) as bag, Bag(job.bag) as labels:
            self.images = choose_images(bag, job.topic, job.labels)
            if job.labels:
                choose_images(bag, job.labels)
                self.labels = BagLabels(labels, self.images.topic, job.labels)
                self.invalid += self.labels.stamps.unreadable
            with BagWriter(job.output, job.storage, job.metadata) as out:
                self.sink = BagSink(out, self.images.topic, self.segmenter.labels,
                                    job.uncertainty_encoding)
                frames = BagFrames(bag, self.images, job.max_pixels, self.sink.copy, self.labels)
                self.segment(frames)
        for note in [*bag.notes, *self.notes()]:
            print(note, file=sys.stderr)
        return {**self.report(time.perf_counter() - start), 'damage': frames.damage}

    def segment(self, frames: BagFrames) -> None:
        """Segment every frame, into the bag, the scores and the pictures."""
        sinks, wants = [self.sink, self.score, self.share_threads], ()
        self.share_threads()
        if self.job.preview:
            self.preview = Preview(self.job.preview, self.segmenter.labels)
            sinks.append(self.preview)
            wants = {'merged'}.intersection(self.segmenter.method.optional)
        segment_frames(self.segmenter, frames, sinks, 'replaying', wants, self.count_invalid)
        if self.preview:
            self.preview.close()

    def share_threads(self, *_: object) -> None:
        """Give torch as many threads for the next frame as others leave cores."""
        self.threads.share()

    def score(self, frame: Frame, image: np.ndarray, prediction: Prediction) -> None:
        """Count a frame; labels that do not fit it are counted as invalid."""
        try:
            self.scores(frame, image, prediction)
        except ValueError as error:
            self.count_invalid(frame, 'label', error)

    def count_invalid(self, frame: Frame, part: str, error: Exception) -> None:
        """Count and name a message that cannot be used."""
        self.invalid += 1
        if self.invalid <= INVALID_NAMED:
            topic = f'{self.job.labels}, for ' if part == 'label' else ''
            tqdm.write(f'{topic}{frame.source}: {error}', file=sys.stderr)

    def notes(self) -> Iterable[str]:
        """Yield what a user should know of the messages."""
        if self.invalid > INVALID_NAMED:
            yield f'{self.invalid - INVALID_NAMED} more messages were invalid'
        if not self.scores.frames + self.invalid:
            yield f'{self.images.topic} has no messages of type {self.images.msgtype}'
        if self.sink.replaced:
            names = ', '.join(f'{topic} ({count})' for topic, count in self.sink.replaced.items())
            yield f'outputs of an earlier run were replaced: {names}'
        if self.preview:
            yield from self.preview.notes
        if self.labels and (words := self.labels.stamps.describe(self.scores.labelled)):
            yield words

    def report(self, seconds: float) -> dict[str, Any]:
        """Return all numbers of the replay."""
        scores = self.scores
        return {'bag': str(self.job.bag), 'output': str(self.job.output),
                'topic': self.images.topic, 'model': dict(self.segmenter.description),
                'frames': scores.frames, 'invalid': self.invalid, 'seconds': round(seconds, 3),
                'fps': round(scores.frames / max(seconds, 1e-9), 3),
                'milliseconds': scores.percentiles(50, 95), 'refined': round(scores.density, 5),
                **(self.report_labels(self.labels.stamps) if self.labels else {})}

    def report_labels(self, stamps: Stamps) -> dict[str, Any]:
        """Return the numbers of a replay with labels; None for what no pixel tells."""
        scores = self.scores
        return {'scored': scores.labelled, 'unscored': stamps.labels.total() - scores.labelled,
                'miou': rounded(scores.matrix.mean_iou()),
                'iou': {name: rounded(iou) for name, iou in
                        zip(scores.names, scores.matrix.iou(), strict=True)}}


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


def rounded(value: float) -> float | None:
    """Return a figure of the report; None for not-a-number."""
    return None if np.isnan(value) else round(float(value), 5)
