# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Play a whole bag into the node at the pace of its camera, and score what the node published.

A replay without the node segments every frame, however late. Here frames come when they come:
the node drops what it cannot keep up with, and consumers act on the newest mask that they have.
Streaming accuracy compares that mask with the truth of the moment (Li et al. 2020, "Towards
Streaming Perception").
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros.bags.inputs import LabelledBag
from sparse_seg_ros.bags.recorded import RecordedBag
from sparse_seg_ros.bags.replay import rounded
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.demo.child_process import ChildProcess
from sparse_seg_ros.demo.player import PlayJob, arguments
from sparse_seg_ros.demo.run import (
    DemoJob,
    check_model,
    check_ros,
    count_images,
    find_images,
    latencies,
    play,
    read_report,
    words,
)
from sparse_seg_ros.evaluation.loop import UNUSABLE
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.loading.zoo import load
from sparse_seg_ros.new_paths import check_beside, check_can_hold, check_is_new
from sparse_seg_ros.stream.health import RECEIVED, WAITING

RANKS = (50, 95, 99)


@dataclass(frozen=True)
class OnlineJob:
    """
    A bag, the new folder for recording and log, and the model.

    labels: topic of the bag, or folder, with true labels; None: nothing is scored. attaches: to a
    node that runs already, in the ROS domain of this shell, in the place of one of its own.
    """

    bag: Path
    out: Path
    topic: str | None = None
    labels: str | None = None
    rate: float = 1.0
    model: str = 'demo'
    device: str = 'auto'
    precision: str = 'auto'
    attaches: bool = False

    def check(self) -> None:
        """Raise ValueError for a rate that is none, or a place that takes no folder."""
        if not self.rate > 0:
            raise ValueError(f'--rate must be above 0, got {self.rate}')
        check_is_new(self.out, 'output', may_be_empty=True)
        check_beside(self.out, self.bag, 'output')
        check_can_hold(self.out.parent, f'output {self.out}')


def run_online(job: OnlineJob, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Play the bag -> report; ChildProcessError where the node gives no mask at all."""
    job.check()
    check_ros()
    names = check_model(job.model).names
    topic, is_compressed = find_images(job.bag, job.topic)
    truth = LabelledBag(job.bag, job.labels, topic) if job.labels else None
    check_classes(truth, names, 'the model')
    job.out.mkdir(parents=True, exist_ok=True)
    play_job = DemoJob(job.out, job.bag, topic, count_images(job.bag, topic), job.rate,
                       model=job.model, device=job.device, precision=job.precision)
    say(f'playing {topic} of {job.bag} at {job.rate:g} times its pace into the node')
    played = attach(play_job, topic) if job.attaches else \
        play(play_job, job.bag, topic, is_compressed)
    if not played['masked_seconds']:
        raise ChildProcessError(f'no frame came back: {words(played["counters"])}; see '
                                f'{play_job.log}')
    check_node(job, played['engine'])
    report = {'bag': str(job.bag), 'topic': topic, 'rate': job.rate,
              'recording': str(play_job.recording), 'model': played['engine'],
              **figures(played)}
    if truth is None:
        return report
    scores = Joined(played, RecordedBag(play_job.recording), len(names))
    errors = score_masks(scores, truth)
    unusable = f'{len(errors)} labels could not be used; the first: {errors[0]}' if errors else ''
    return {**report, **scores.report(names), 'notes': truth.notes,
            'damage': '; '.join(filter(None, [truth.damage, unusable])) or None}


def check_node(job: OnlineJob, engine: Mapping[str, str]) -> None:
    """Raise ValueError if the node that runs already has other weights than the model named."""
    named = load(job.model, 'cpu', 'fp32').weights['sha256'] if job.attaches else None
    if named is not None and engine.get('weights_hash', named) != named:
        raise ValueError(f"the node runs {engine.get('model', 'another model')}, not {job.model}, "
                         'so its masks may be of other classes; name its model with --model')


def score_masks(scores: Joined, truth: Iterable[Frame]) -> list[str]:
    """Score the masks of all frames with labels -> why some could not be; the drive is over."""
    errors = []
    try:
        for frame in truth:
            try:
                scores.add(frame.stamp, frame.require_label())
            except UNUSABLE as error:
                errors.append(f'{frame.source}: {error}')
    except ValueError as error:  # no label fits a frame
        errors.append(str(error))
    return errors


def attach(job: DemoJob, topic: str) -> dict[str, Any]:
    """Play into the node that runs in this shell's domain -> the report of the player."""
    result = job.out / 'played.json'
    play_job = PlayJob(str(job.bag), str(job.recording), topic, job.frames, job.rate)
    with ChildProcess('player', 'sparse_seg_ros.demo.player', arguments(play_job, result),
                      os.environ) as player:
        player.process.wait()
    report = read_report(result, player)
    if 'error' in report:
        raise ChildProcessError(report['error'])
    return report


def figures(played: dict[str, Any]) -> dict[str, Any]:
    """Return what needs no labels: what became of the frames, latency and age."""
    counters = played['counters']
    ages = [age * 1e3 for _, held, age in held_masks(played) if held is not None]
    return {'sent': played['sent'], 'not_received': played['sent'] - counters[RECEIVED],
            **{name: count for name, count in counters.items() if name != WAITING},
            'seconds': round(played['seconds'], 3),
            'latency_ms': percentiles(latencies(played)), 'age_ms': percentiles(ages)}


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """Return {'p50': ...}; None without values."""
    values = list(values)
    return {f'p{rank}': round(float(np.percentile(values, rank)), 2) if values else None
            for rank in RANKS}


def held_masks(played: dict[str, Any]) -> Iterator[tuple[int, int | None, float]]:
    """
    Yield, for each image that was sent, its stamp and the mask that consumers had at that moment.

    The mask is told by its stamp, with the seconds since its image was sent; None: none yet.
    """
    sent = dict(map(tuple, played['sent_seconds']))
    masked = sorted((moment, stamp) for stamp, moment in played['masked_seconds'])
    moments = [moment for moment, _ in masked]
    for stamp, moment in sent.items():
        place = bisect_right(moments, moment)
        held = masked[place - 1][1] if place else None
        yield stamp, held, moment - sent[held] if held is not None else 0.0


class Joined:
    """Scores the masks of their own frames, and those that consumers had, against the truth."""

    def __init__(self, played: dict[str, Any], recorded: RecordedBag, num_classes: int):
        self.recorded = recorded
        self.held = {stamp: held for stamp, held, _ in held_masks(played)}
        self.published, self.streaming = ConfusionMatrix(num_classes), ConfusionMatrix(num_classes)
        self.labelled = self.answered = 0

    def add(self, stamp: int, label: np.ndarray) -> None:
        """Count the true label of an image, if the image was sent."""
        if stamp not in self.held:
            return
        held, is_answered = self.held[stamp], stamp in self.recorded.masks
        if is_answered:  # first, so that a label of another size raises before it is counted
            self.published.add(self.recorded.mask(stamp), label)
        self.streaming.add(np.full_like(label, VOID) if held is None else
                           self.recorded.mask(held), label)
        self.labelled += 1
        self.answered += is_answered

    def report(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return the accuracy of what was published, and of what consumers had."""
        return {'labelled': self.labelled, 'scored': self.answered,
                'miou': rounded(self.published.mean_iou()),
                'streaming_miou': rounded(self.streaming.mean_iou()),
                'iou': dict(zip(names, map(rounded, self.published.iou()))),
                'streaming_iou': dict(zip(names, map(rounded, self.streaming.iou())))}
