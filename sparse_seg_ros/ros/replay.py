# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment EVERY image of a bag, offline: bag -> bag with masks, and numbers.

Playing a bag into the node tests latency, and drops what comes too fast; this does not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from sparse_seg_ros.config import NodeConfig
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.ros import bag as bags
from sparse_seg_ros.ros.messages import diagnostic_array, frame_status, image_fields
from sparse_seg_ros.ros.outputs import OUTPUTS, Segmented
from sparse_seg_ros.ros.pixels import to_labels, to_rgb
from sparse_seg_ros.ros.preview import Preview
from sparse_seg_ros.ros.stage_times import StageTimes

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter

WRITTEN = ('mask', 'uncertainty')
MAX_UNPAIRED = 64
DIAGNOSTICS = SimpleNamespace(**{
    name: bags.TYPES.types[f'diagnostic_msgs/msg/{name}']
    for name in ('DiagnosticArray', 'DiagnosticStatus', 'KeyValue')})


@dataclass(frozen=True)
class ReplayJob:
    """What to replay, and where to."""

    bag: Path
    output: Path
    topic: str | None = None
    labels: str | None = None
    preview: Path | None = None
    storage: str = 'mcap'
    config: NodeConfig = field(default_factory=NodeConfig)


class Scores:
    """Pairs predictions and true labels by stamp, in whatever order they come."""

    def __init__(self, num_classes: int):
        self.matrix, self.pairs = ConfusionMatrix(num_classes), 0
        self.waiting: dict[tuple[str, int], np.ndarray] = {}

    def add(self, kind: str, stamp: int, labels: np.ndarray) -> None:
        """Add a 'prediction' or 'truth' of (H, W) uint8."""
        other = ('truth' if kind == 'prediction' else 'prediction', stamp)
        if other in self.waiting:
            pair = {kind: labels, other[0]: self.waiting.pop(other)}
            self.matrix.add(pair['prediction'], pair['truth'])
            self.pairs += 1
            return
        self.waiting[kind, stamp] = labels
        if len(self.waiting) > MAX_UNPAIRED:
            self.waiting.pop(next(iter(self.waiting)))


class Replay:
    """One replay in progress."""

    def __init__(self, job: ReplayJob, segmenter: Segmenter):
        self.job, self.segmenter = job, segmenter
        self.times, self.densities = StageTimes(capacity=None), []
        self.frames = self.invalid = 0
        self.scores = Scores(len(segmenter.labels)) if job.labels else None
        self.preview = Preview(job.preview, segmenter.labels) if job.preview else None

    def run(self, progress: Callable[[Iterable, int], Iterable]) -> dict[str, Any]:
        """Replay all of the bag -> report, its 'damage' None or why the bag broke off."""
        start = time.perf_counter()
        with bags.Bag(self.job.bag) as bag:
            images = bag.choose_image_topic(self.job.topic, self.job.labels)
            if self.job.labels:
                bag.choose_image_topic(self.job.labels)
            self.base = base_topic(images.topic)
            with bags.BagWriter(self.job.output, self.job.storage) as out:
                damage = self.add_all(out, images.topic, bag, progress)
        if self.preview:
            self.preview.close()
        return {**self.report(images.topic, time.perf_counter() - start), 'damage': damage}

    def add_all(self, out: bags.BagWriter, image_topic: str, bag: bags.Bag,
                progress: Callable[[Iterable, int], Iterable]) -> str | None:
        """Take in every message of the bag -> why it broke off, if it did."""
        total = sum(each.msgcount for each in bag.reader.connections)
        try:
            for message in progress(bag.messages(), total):
                self.add(out, image_topic, *message)
        except bags.BagDamageError as damage:
            return str(damage)
        return None

    def add(self, out: bags.BagWriter, image_topic: str, connection: Any, nanoseconds: int,
            raw: bytes) -> None:
        """Copy one message, and segment or score it; outputs of an earlier replay are left out."""
        topic = connection.topic
        if not topic.startswith(f'{self.base}/segmentation/'):
            out.copy(connection, nanoseconds, raw)
        if topic == image_topic:
            self.add_image(out, nanoseconds, bags.parse(raw, connection.msgtype))
        elif topic == self.job.labels:
            self.add_labels(bags.parse(raw, connection.msgtype))

    def add_image(self, out: bags.BagWriter, nanoseconds: int, message: Any) -> None:
        """Segment one image and write what comes of it; a bad image is counted and named."""
        stamp = bags.stamp_nanoseconds(message)
        try:
            image = to_rgb(message, self.job.config.max_pixels)
        except ValueError as error:
            self.invalid += 1
            print(f'image at stamp {stamp}: {error}', file=sys.stderr)
            return
        seen = self.segmenter(image, wants_merged=self.preview is not None)
        self.frames += 1
        self.times.add(seen.milliseconds)
        self.densities.append(seen.density)
        self.write(out, nanoseconds, message.header,
                   Segmented(image, seen, self.segmenter.labels, self.job.config))
        if self.scores:
            self.scores.add('prediction', stamp, seen.labels)
        if self.preview:
            self.preview.add(stamp, image, seen)

    def add_labels(self, message: Any) -> None:
        """Score against the true labels of a frame."""
        self.scores.add('truth', bags.stamp_nanoseconds(message), to_labels(message).copy())

    def write(self, out: bags.BagWriter, nanoseconds: int, header: Any, frame: Segmented) -> None:
        """Write mask, uncertainty and timing under the header of the image."""
        for name in WRITTEN:
            output = OUTPUTS[name]
            out.write(f'{self.base}/segmentation/{name}', bags.IMAGE, nanoseconds,
                      bag_image(header, output.make(frame), output.encoding(frame.config)))
        camera = self.base.strip('/') or 'camera'
        status = frame_status(camera, frame.seen.milliseconds, facts(frame.seen))
        out.write(f'{self.base}/segmentation/timing', 'diagnostic_msgs/msg/DiagnosticArray',
                  nanoseconds, diagnostic_array(DIAGNOSTICS, header, 'segmentation', [status]))

    def report(self, topic: str, seconds: float) -> dict[str, Any]:
        """Return all numbers of the replay."""
        report = {'bag': str(self.job.bag), 'output': str(self.job.output), 'topic': topic,
                  'model': dict(self.segmenter.description), 'frames': self.frames,
                  'invalid': self.invalid, 'seconds': round(seconds, 3),
                  'fps': round(self.frames / max(seconds, 1e-9), 3),
                  'milliseconds': self.times.percentiles(50, 95),
                  'refined': round(float(np.mean(self.densities)), 5) if self.densities else 0.0}
        if self.scores:
            names = self.segmenter.labels.names
            report['scored'] = self.scores.pairs
            report['miou'] = round(self.scores.matrix.mean_iou(), 5)
            report['iou'] = {name: None if np.isnan(iou) else round(float(iou), 5)
                             for name, iou in zip(names, self.scores.matrix.iou(), strict=True)}
        return report


def facts(seen: Prediction) -> dict[str, Any]:
    """Return what ~/timing says beside times."""
    return {'refined': round(seen.density, 5)}


def base_topic(image_topic: str) -> str:
    """Return the camera's namespace: /camera/image_raw/compressed -> /camera."""
    return image_topic.removesuffix('/compressed').rpartition('/')[0]


def bag_image(header: Any, array: np.ndarray, encoding: str) -> Any:
    """(H, W) or (H, W, 3) array -> Image message of rosbags."""
    return bags.TYPES.types[bags.IMAGE](
        header=header, **image_fields(array, encoding),
        data=np.ascontiguousarray(array).reshape(-1).view(np.uint8))
