# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker without ROS: frames from slots, predictions into sinks."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from ros_fakes import make_image, make_segmenter

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.status import AGE, DEGRADED, ON_TIME, REFINED, SLACK
from sparse_seg_ros.stream.schedule import Deadlines
from sparse_seg_ros.stream.slots import LatestFrameSlots
from sparse_seg_ros.stream.worker import Host, Worker, WorkerSettings

PATIENCE_SECONDS = 30.0


class Sink:
    """Keeps what it is given, and tells when that has come."""

    def __init__(self, optional: tuple[str, ...] = ()):
        self.optional, self.taken, self.came = optional, [], threading.Event()

    def optional_outputs(self):
        return self.optional

    def __call__(self, frame, image, prediction):
        self.taken.append((frame, image, prediction))
        self.came.set()


class Stream:
    """Slots, workers and all that a node would do for them."""

    def __init__(self, sinks: dict[str, Sink], workers: int = 1, count: int = 1, **settings):
        self.lines, self.times, self.facts = [], [], []
        self.slots = LatestFrameSlots(sinks)
        self.slots.open()
        host = Host(lambda: WorkerSettings(**settings), lambda: (10 ** 18, False),
                    lambda severity, text: self.lines.append((severity, text)),
                    self.times.append, lambda frame, times, facts: self.facts.append(facts))
        self.workers = [Worker(make_segmenter(), self.slots, sinks, host, count)
                        for _ in range(workers)]

    def put(self, camera: str, read_image, **about) -> None:
        self.slots.put(Frame(camera, read_image, arrived_seconds=time.monotonic(), **about))

    def settle(self, camera: str, count: int):
        """Wait until so many frames have an outcome -> counters."""
        with self.slots.changed:
            self.slots.changed.wait_for(lambda: self.slots.counts[camera].settled >= count,
                                        PATIENCE_SECONDS)
        return self.slots.counters(camera)

    def stop(self) -> None:
        self.slots.close(PATIENCE_SECONDS)
        assert all(worker.stop(PATIENCE_SECONDS) for worker in self.workers)


@pytest.fixture
def make_stream():
    """Return what makes a Stream, each stopped after the test."""
    streams = []

    def make(sinks, **how):
        streams.append(Stream(sinks, **how))
        return streams[-1]

    yield make
    for stream in streams:
        stream.stop()


def test_a_frame_goes_to_the_sink_of_its_camera_with_what_that_wants(make_stream):
    sinks = {'front': Sink(('confidence',)), 'rear': Sink()}
    stream = make_stream(sinks)
    stream.put('front', make_image, header='a header')
    assert stream.settle('front', 1).published == 1
    (frame, image, prediction), = sinks['front'].taken
    assert frame.header == 'a header' and np.array_equal(image, make_image())
    assert prediction.confidence is not None and prediction.merged is None
    assert not sinks['rear'].taken
    assert stream.times[0]['total'] > 0 and set(stream.facts[0]) == {AGE, REFINED}


def test_limits_are_those_of_the_settings_without_any_that_the_model_lacks(make_stream):
    sink = Sink()
    stream = make_stream({'camera': sink}, limits={'alpha': 0.0, 'temperature': 3.0})
    stream.put('camera', make_image)
    stream.settle('camera', 1)
    assert sink.taken[0][2].density == pytest.approx(
        make_segmenter()(make_image(), alpha=0.0).density)


def test_what_is_no_image_is_invalid_and_what_breaks_has_failed(make_stream):
    def refuse():
        raise ValueError('expected an image, got a door')
    sink = Sink()
    stream = make_stream({'camera': sink})
    stream.put('camera', refuse)
    assert stream.settle('camera', 1).invalid == 1
    stream.put('camera', lambda: np.full((9, 9, 3), 255, np.uint8))
    assert stream.settle('camera', 2).failed == 1
    stream.put('camera', make_image)
    assert stream.settle('camera', 3).published == 1 and len(sink.taken) == 1
    assert [severity for severity, _ in stream.lines] == ['warning', 'error']
    assert 'camera: image dropped: expected an image, got a door' in stream.lines[0][1]


def test_a_stale_frame_is_not_read(make_stream):
    stream = make_stream({'camera': Sink()}, max_age_seconds=1.0)
    stream.put('camera', lambda: pytest.fail('it was read'), stamp=10 ** 18 - 5 * 10 ** 9)
    assert stream.settle('camera', 1).stale == 1
    assert 'camera: image dropped: 5.00 s old' in stream.lines[0][1]


def test_each_of_several_threads_is_started_again_once_if_it_dies(make_stream):
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def end():
        both.wait()
        raise SystemExit('the library ends')
    stream = make_stream({'front': Sink(), 'rear': Sink()}, count=2)
    worker, = stream.workers
    for camera in ('front', 'rear'):
        stream.put(camera, end)
    for thread in worker.running:
        thread.join(PATIENCE_SECONDS)
    assert len(worker.deaths) == 2
    worker.revive()
    assert all(thread.is_alive() for thread in worker.running)
    stream.put('front', make_image)
    assert stream.settle('front', 2).published == 1
    stream.put('front', lambda: (_ for _ in ()).throw(SystemExit('again')))
    assert stream.settle('front', 3).failed == 2
    worker.revive()
    assert [severity for severity, _ in stream.lines] == ['error', 'error']
    assert 'ended again: SystemExit: again' in stream.lines[-1][1]


def test_a_budget_is_cut_to_keep_a_deadline_and_the_facts_say_so(make_stream):
    stream = make_stream({'camera': Sink(), 'calm': Sink()},
                         deadlines=Deadlines({'camera': 60.0}, from_stamp=False))
    for camera in ('camera', 'calm'):
        stream.put(camera, make_image)
        stream.settle(camera, 1)
    facts = next(each for each in stream.facts if ON_TIME in each)
    assert set(facts) == {AGE, REFINED, ON_TIME, DEGRADED, SLACK}  # this method asks for no budget
    assert len(stream.facts) == 2 and stream.workers[0].planner.record.on_time == 1


def test_several_workers_serve_the_same_slots(make_stream):
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read():
        both.wait()  # passes only while two frames are in flight
        return make_image()
    sinks = {'front': Sink(), 'rear': Sink()}
    stream = make_stream(sinks, workers=2)
    for camera in sinks:
        stream.put(camera, read)
    assert [stream.settle(camera, 1).published for camera in sinks] == [1, 1]
