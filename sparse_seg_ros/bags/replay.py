# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment EVERY image of a bag, of videos or pictures, offline: bag with masks out, and numbers.

Playing a bag into the node tests latency, and drops frames that come too fast. This drops none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.bags.bag_sink import BagSink
from sparse_seg_ros.bags.bag_writer import BagWriter, check_output
from sparse_seg_ros.bags.frames import BagFrames, Stamps
from sparse_seg_ros.bags.inputs import BagInput, PictureInput, PictureMessages
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.sources import open_sources
from sparse_seg_ros.evaluation.loop import segment_frames
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.new_paths import check_beside, check_can_hold, check_is_new
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.preview import Preview
from sparse_seg_ros.threads import Threads

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter

INVALID_NAMED = 10  # the others are only counted


@dataclass(frozen=True)
class ReplayJob:
    """What to replay, and where to: a bag, or pictures (files, folders, patterns, videos)."""

    bag: Path | None
    output: Path
    topic: str | None = None
    labels: str | None = None
    preview: Path | None = None
    numbers: Path | None = None  # JSON
    storage: str = 'mcap'
    metadata: int = 8
    uncertainty_encoding: str = '32FC1'
    max_pixels: int = NodeConfig.max_pixels
    pictures: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError for a setting out of its range, or a place that takes no files."""
        NodeConfig(max_pixels=self.max_pixels, uncertainty_encoding=self.uncertainty_encoding)
        if self.bag is None and (self.topic or self.labels):
            raise ValueError('topics are of a bag; pictures and videos have none: leave --topic '
                             'and --labels out')
        for path, what in ((self.output, 'output'), (self.preview, 'preview'),
                           (self.numbers, 'file')):
            if path is not None:
                check_is_new(Path(path), what, may_be_empty=what == 'preview')
                if self.bag is not None:
                    check_beside(Path(path), Path(self.bag), what)
                check_can_hold(Path(path).parent, f'{what} {path}')
        check_output(Path(self.output))
        if self.bag is None:
            self.open()  # a wrong name comes up before the model is loaded

    def open(self) -> BagInput | PictureInput:
        """Return where the frames come from; ValueError or FileNotFoundError if from nowhere."""
        if self.bag is None:
            sources = open_sources([*self.pictures])
            if any(isinstance(getattr(source, 'source', None), int) for source in sources):
                raise ValueError('a camera has no end, and cannot be replayed; record it, or use '
                                 'sparse_seg predict')
            return PictureInput(sources, self.max_pixels)
        return BagInput(Path(self.bag), self.topic, self.labels, self.max_pixels)


class Replay:
    """One replay in progress: the loop over the frames of an input, with a bag as its sink."""

    def __init__(self, job: ReplayJob, segmenter: Segmenter):
        job.check()
        self.job, self.segmenter = job, segmenter
        self.scores = Scores(segmenter.labels.names, counts_small=False)
        self.invalid, self.threads = 0, Threads()
        self.preview: Preview | None = None

    def run(self) -> dict[str, Any]:
        """Replay everything -> report, its 'damage' None or what the input lacks."""
        start, job = time.perf_counter(), self.job
        with job.open() as source:
            self.topic, self.message_type = source.topic, source.message_type
            self.stamps = source.labels.stamps if source.labels else None
            if self.stamps:
                self.invalid += self.stamps.unreadable
            with BagWriter(job.output, job.storage, job.metadata) as out:
                self.sink = BagSink(out, self.topic, self.segmenter.labels,
                                    job.uncertainty_encoding)
                frames = source.frames(self.sink)
                self.segment(frames)
        for note in [*source.notes, *self.notes()]:
            print(note, file=sys.stderr)
        return {**self.report(time.perf_counter() - start), 'damage': frames.damage}

    def segment(self, frames: BagFrames | PictureMessages) -> None:
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
            yield f'{self.topic} has no messages of type {self.message_type}'
        if self.sink.replaced:
            names = ', '.join(f'{topic} ({count})' for topic, count in self.sink.replaced.items())
            yield f'outputs of an earlier run were replaced: {names}'
        if self.preview:
            yield from self.preview.notes
        if self.stamps and (words := self.stamps.describe(self.scores.labelled)):
            yield words

    def report(self, seconds: float) -> dict[str, Any]:
        """Return all numbers of the replay."""
        scores = self.scores
        return {'bag': str(self.job.bag or ' '.join(self.job.pictures)),
                'output': str(self.job.output), 'topic': self.topic,
                'model': dict(self.segmenter.description),
                'frames': scores.frames, 'invalid': self.invalid, 'seconds': round(seconds, 3),
                'fps': round(scores.frames / max(seconds, 1e-9), 3),
                'milliseconds': scores.percentiles(50, 95), 'refined': round(scores.density, 5),
                **(self.report_labels(self.stamps) if self.stamps else {})}

    def report_labels(self, stamps: Stamps) -> dict[str, Any]:
        """Return the numbers of a replay with labels; None for what no pixel tells."""
        scores = self.scores
        return {'scored': scores.labelled, 'unscored': stamps.labels.total() - scores.labelled,
                'miou': rounded(scores.matrix.mean_iou()),
                'iou': {name: rounded(iou) for name, iou in
                        zip(scores.names, scores.matrix.iou(), strict=True)}}


def rounded(value: float) -> float | None:
    """Return a figure of the report; None for not-a-number."""
    return None if np.isnan(value) else round(float(value), 5)
