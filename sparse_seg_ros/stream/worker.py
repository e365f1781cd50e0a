# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The threads that segment: newest frame -> image -> prediction -> sinks, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sparse_seg_ros.data.frame import Frame, UnusableImageError
from sparse_seg_ros.messages.status import AGE, STEP, frame_facts
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.stream.deadline import DeadlinePlanner, Plan
from sparse_seg_ros.stream.picture_health import PictureHealth
from sparse_seg_ros.stream.recovery import ASKED, KEPT, LimitValues, Recovery, tried
from sparse_seg_ros.stream.schedule import Age, Deadlines, find_age, why_stale
from sparse_seg_ros.stream.slots import LatestFrameSlots
from sparse_seg_ros.texts import LONG, cut, describe_error

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter  # imports torch: seconds

POLL_SECONDS = 0.2
THROTTLE_SECONDS = 5.0


class Sink(Protocol):
    """Where the predictions of one camera go."""

    def optional_outputs(self) -> Collection[str]:
        """Return the optional outputs that are wanted now."""
        ...

    def __call__(self, frame: Frame, image: np.ndarray, prediction: Prediction) -> None:
        """Take the prediction of a frame."""


@dataclass(frozen=True)
class WorkerSettings:
    """Settings from the next frame on; limits: the 'alpha' and 'budget' of its call."""

    limits: Mapping[str, float] = field(default_factory=dict)
    max_age_seconds: float = 0.0
    threads: int | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    check_pictures: bool = False


@dataclass(frozen=True)
class Host:
    """
    What a worker calls in the node that it works for.

    settings: read before each frame. now: nanoseconds of the clock that makes the stamps, and
    whether its time is simulated. log: severity, 'warning' or 'error', and text. add_times: takes
    the milliseconds of a frame that was segmented. add_frame: takes a published frame, its
    milliseconds and facts about it.
    """

    settings: Callable[[], WorkerSettings]
    now: Callable[[], tuple[int, bool]]
    log: Callable[[str, str], None]
    add_times: Callable[[Mapping[str, float]], None]
    add_frame: Callable[[Frame, Mapping[str, float], Mapping[str, Any]], None]


class Worker:
    """
    Serves the frames in the slots until stopped; a sink for each camera, by its name.

    count: threads that do so at the same time.
    """

    def __init__(self, segmenter: Segmenter, slots: LatestFrameSlots, sinks: Mapping[str, Sink],
                 host: Host, count: int = 1):
        from sparse_seg_ros.threads import Threads  # imports torch: seconds

        self.segmenter, self.slots, self.sinks, self.host = segmenter, slots, sinks, host
        self.threads, self.recovery = Threads(workers=count), Recovery()
        self.planner = DeadlinePlanner(slots.next_up, host.now, slots.clock, count,
                                       segmenter.has_static_shapes)
        self.pictures = PictureHealth(sinks, segmenter.uncertain_limit)
        self.ages = dict.fromkeys(sinks, Age())
        self.losses = dict.fromkeys(sinks, 'none')  # why the last frame lost was not published
        self.logged = {}  # camera and outcome: monotonic seconds
        self.stopping, self.deaths = threading.Event(), []
        self.starting = threading.Lock()  # a timer and an activation may start threads again
        self.running = [self.start() for _ in range(count)]

    def start(self) -> threading.Thread:
        """Start a thread."""
        thread = threading.Thread(target=self.run, name='segmentation', daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        """Serve frames; runs in the thread. What ends it is kept and logged."""
        frame = None
        try:
            while not self.stopping.is_set():
                frame = self.slots.take(POLL_SECONDS)
                if frame is not None:
                    self.slots.settle(frame, self.serve(frame))
        except BaseException as error:  # not an Exception, or from outside of serve
            self.deaths.append(describe_error(error))
            if frame is not None:
                self.slots.settle(frame, 'failed')

    def revive(self) -> None:
        """Start what has died again, unless it dies too often, and log it; for a timer to call."""
        with self.starting:
            for index in self.dead():
                why = self.deaths[-1] if self.deaths else 'unknown'  # as an activation forgets it
                if self.stopping.is_set() or self.recovery.why_stopped or \
                        not self.recovery.note_death(why, time.monotonic()):
                    return
                self.host.log('error', f'the thread that segments ended: {why}; it is started '
                              'again')
                self.running[index] = self.start()

    def dead(self) -> list[int]:
        """Return the numbers of the threads that have ended."""
        return [index for index, thread in enumerate(self.running) if not thread.is_alive()]

    def restart(self) -> None:
        """Begin afresh after a stop, with threads that live; before the gate opens."""
        with self.starting:
            self.recovery.restart()
            self.deaths.clear()
            for index in self.dead():
                self.running[index] = self.start()

    def stop(self, timeout_seconds: float) -> bool:
        """End the threads after their present frames; tell whether they have ended in time."""
        self.stopping.set()
        end = time.monotonic() + timeout_seconds
        for thread in self.running:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self.running)

    def serve(self, frame: Frame) -> str:
        """Segment and publish one frame -> its outcome. One bad frame never stops the rest."""
        outcome = tried(lambda: self.process(frame, self.host.settings()))
        if isinstance(outcome, Exception):
            return self.lose(frame, 'failed', f'frame failed: {describe_error(outcome)}')
        return outcome

    def process(self, frame: Frame, settings: WorkerSettings) -> str:
        """Segment and publish one frame unless it is too old or not an image -> its outcome."""
        self.ages[frame.source] = self.find_age(frame)
        if settings.check_pictures:
            self.pictures.arrive(frame)
        if self.is_stale(frame, settings, 'dropped'):
            return 'stale'
        started = time.monotonic()
        try:
            image = frame.image()
        except ValueError as error:
            return self.drop(frame, error)
        try:
            return self.segment(frame, image, started, settings)
        except UnusableImageError as error:
            return self.drop(frame, error)

    def segment(self, frame: Frame, image: np.ndarray, started: float, settings: WorkerSettings
                ) -> str:
        """Segment an image, publish the wanted outputs, keep its times -> its outcome."""
        if settings.check_pictures:
            self.pictures.look(frame, image)
        decoded = time.monotonic()
        self.threads.share(settings.threads)
        known = self.segmenter.method.limits()
        limits = {name: value for name, value in settings.limits.items() if name in known}
        plan = self.planner.plan(frame, image.shape[:2], started, settings.deadlines, limits.get(
            'budget', self.segmenter.budget) if 'budget' in known else None)
        wants = self.sinks[frame.source].optional_outputs()
        prediction, step = self.recovery(partial(self.predict, image, wants, plan), limits, known,
                                         frame.source)
        if step != ASKED:
            self.report_step(frame, step)
        segmented = time.monotonic()
        outcome = self.publish(frame, image, prediction, settings)
        published = time.monotonic()
        stages = {**prediction.milliseconds, 'wait': (started - frame.arrived_seconds) * 1e3,
                  'decode': (decoded - started) * 1e3, 'segment': (segmented - decoded) * 1e3,
                  'publish': (published - segmented) * 1e3,
                  'total': (published - frame.arrived_seconds) * 1e3}
        if settings.check_pictures:
            self.pictures.see(frame, prediction)
        if outcome != 'abandoned':  # else another model may run meanwhile
            self.host.add_times(stages)
        if outcome == 'published':
            self.recovery.note_published(limits, step)
            self.host.add_frame(frame, stages, {
                AGE: self.ages[frame.source].figure, STEP: step,
                **frame_facts(prediction.density),
                **(self.planner.learn(plan, prediction) if plan else {})})
        return outcome

    def predict(self, image: np.ndarray, wants: Collection[str], plan: Plan | None,
                limits: LimitValues) -> Prediction:
        """Segment an image with limits of the refinement, or less where the plan says so."""
        budget = limits.get('budget')
        if plan is not None:
            budget = plan.within(self.segmenter.budget if budget is None else budget)
        return self.segmenter(image, alpha=limits.get('alpha'), budget=budget, wants=wants)

    def report_step(self, frame: Frame, step: str) -> None:
        """Log where the last such line is old that a frame could not be segmented as asked."""
        if self.is_due(step):
            left = self.recovery.frames_left(frame.source)
            rest = f'; so are the next {left} frames of this camera' if step in KEPT else ''
            self.host.log('warning', f'{frame.source}: frame segmented by {step!r}, as it failed '
                          f'before: {self.recovery.error}{rest}')

    def publish(self, frame: Frame, image: np.ndarray, prediction: Prediction,
                settings: WorkerSettings) -> str:
        """Publish a frame unless it has become too old or was abandoned -> its outcome."""
        if not self.slots.begin_publishing(frame):
            return 'abandoned'
        if self.is_stale(frame, settings, 'segmented, but not published'):
            return 'stale'
        self.sinks[frame.source](frame, image, prediction)
        return 'published'

    def find_age(self, frame: Frame) -> Age:
        """Return the age of an image now."""
        nanoseconds, is_simulated = self.host.now()
        return find_age(nanoseconds, frame.stamp, is_simulated)

    def is_stale(self, frame: Frame, settings: WorkerSettings, fate: str) -> bool:
        """Tell whether an image is too old now to be of use, and log its fate with the cure."""
        nanoseconds, is_simulated = self.host.now()
        why = why_stale(find_age(nanoseconds, frame.stamp, is_simulated),
                        settings.max_age_seconds, is_simulated,
                        time.monotonic() - frame.arrived_seconds)
        if why:
            self.lose(frame, 'stale', f'image {fate}: {why}')
        return bool(why)

    def drop(self, frame: Frame, error: ValueError) -> str:
        """Lose a frame that is no image, or none that the model can take -> its outcome."""
        return self.lose(frame, 'invalid', f'image dropped: {cut(str(error), LONG)}')

    def lose(self, frame: Frame, outcome: str, why: str) -> str:
        """Keep why a frame is lost, log it where the last such line is old -> its outcome."""
        self.losses[frame.source] = why
        if self.is_due((frame.source, outcome)):
            self.host.log('error' if outcome == 'failed' else 'warning', f'{frame.source}: {why}')
        return outcome

    def is_due(self, topic: Any) -> bool:
        """Tell whether the last line about a topic is old, and note that one is written now."""
        now = time.monotonic()
        if now - self.logged.get(topic, -THROTTLE_SECONDS) < THROTTLE_SECONDS:
            return False
        self.logged[topic] = now
        return True
