# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker without ROS: frames from slots, predictions into sinks."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from ros_fakes import Brightness, make_image, make_segmenter
from ros_faults import FAULTS, Deadly, Faulty, segmenter

from sparse_seg_ros.data.frame import Frame, UnusableImageError
from sparse_seg_ros.messages.status import AGE, DEGRADED, ON_TIME, REFINED, SLACK, STEP
from sparse_seg_ros.stream import recovery
from sparse_seg_ros.stream.recovery import AGAIN, ASKED, DENSE, MOST_DEATHS, MOST_FAILED
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

    def __init__(self, sinks: dict[str, Sink], workers: int = 1, count: int = 1, segment=None,
                 **settings):
        self.lines, self.times, self.facts = [], [], []
        self.slots = LatestFrameSlots(sinks)
        self.slots.open()
        host = Host(lambda: WorkerSettings(**settings), lambda: (10 ** 18, False),
                    lambda severity, text: self.lines.append((severity, text)),
                    self.times.append, lambda frame, times, facts: self.facts.append(facts))
        self.workers = [Worker(segment or make_segmenter(), self.slots, sinks, host, count)
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
    assert stream.times[0]['total'] > 0 and set(stream.facts[0]) == {AGE, REFINED, STEP}


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


def test_images_of_a_size_that_the_model_cannot_take_are_invalid_and_end_nothing(
        make_stream, monkeypatch):
    class Fixed(Brightness):
        calls = 0

        def __call__(self, images, request, clock):
            self.calls += 1
            if images.shape[2] != 40:
                raise UnusableImageError('the engine was built for images of 40x60')
            return super().__call__(images, request, clock)
    monkeypatch.setattr(recovery, 'LEAST_SECONDS', 0.0)
    method = Fixed()
    stream = make_stream({'camera': Sink()}, segment=segmenter(method))
    for count in range(1, MOST_FAILED + 2):
        stream.put('camera', lambda: make_image(48, 60))
        assert stream.settle('camera', count).invalid == count
    assert method.calls == count  # no other try would help
    assert stream.lines[0] == ('warning', 'camera: image dropped: the engine was built for images '
                               'of 40x60')
    assert not stream.workers[0].recovery.why_stopped
    stream.put('camera', make_image)
    assert stream.settle('camera', count + 1).published == 1
    assert stream.facts[-1][STEP] == ASKED


def test_a_stale_frame_is_not_read(make_stream):
    stream = make_stream({'camera': Sink()}, max_age_seconds=1.0)
    stream.put('camera', lambda: pytest.fail('it was read'), stamp=10 ** 18 - 5 * 10 ** 9)
    assert stream.settle('camera', 1).stale == 1
    assert 'camera: image dropped: 5.00 s old' in stream.lines[0][1]


def test_each_of_several_threads_is_started_again_until_they_die_too_often(make_stream):
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
    assert [severity for severity, _ in stream.lines] == ['error'] * 3
    assert not worker.dead() and not worker.recovery.why_stopped
    stream.put('front', lambda: (_ for _ in ()).throw(SystemExit('again')))
    assert stream.settle('front', 4).failed == 3
    worker.revive()
    assert len(worker.dead()) == 1 and 'SystemExit: again' in worker.recovery.why_stopped


def test_a_thread_that_ended_is_started_once_where_an_activation_meets_the_timer(make_stream):
    stream = make_stream({'camera': Sink()})
    worker, = stream.workers
    stream.put('camera', lambda: (_ for _ in ()).throw(SystemExit('the library ends')))
    worker.running[0].join(PATIENCE_SECONDS)
    activation, started, start = threading.Thread(target=worker.restart), [], worker.start

    def activate(severity, text):
        activation.start()
        activation.join(0.1)  # or it waits for the timer

    def count():
        started.append(start())
        return started[-1]
    worker.host, worker.start = replace(worker.host, log=activate), count
    worker.revive()
    activation.join(PATIENCE_SECONDS)
    assert started == worker.running and not worker.deaths


def test_a_thread_that_ended_as_its_node_was_activated_is_started_again_all_the_same(make_stream):
    stream = make_stream({'camera': Sink()})
    worker, = stream.workers
    stream.put('camera', lambda: (_ for _ in ()).throw(SystemExit('the library ends')))
    worker.running[0].join(PATIENCE_SECONDS)
    worker.deaths.clear()  # by an activation that still saw the thread alive
    worker.revive()
    assert not worker.dead()


def test_a_budget_is_cut_to_keep_a_deadline_and_the_facts_say_so(make_stream):
    stream = make_stream({'camera': Sink(), 'calm': Sink()},
                         deadlines=Deadlines({'camera': 60.0}, from_stamp=False))
    for camera in ('camera', 'calm'):
        stream.put(camera, make_image)
        stream.settle(camera, 1)
    facts = next(each for each in stream.facts if ON_TIME in each)
    assert set(facts) == {AGE, REFINED, STEP, ON_TIME, DEGRADED, SLACK}  # it asks for no budget
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


def serve(stream: Stream, image: np.ndarray | None = None):
    """Put a frame -> the counters when its outcome is known."""
    stream.put('camera', make_image if image is None else lambda: image)
    return stream.settle('camera', stream.slots.counters('camera').settled + 1)


@pytest.fixture
def faulty(make_stream):
    """Return a method that fails on command, and a stream that it serves."""
    method = Faulty()
    return method, make_stream({'camera': Sink()}, segment=segmenter(method))


@pytest.mark.parametrize('fault', FAULTS)
def test_each_fault_is_survived_by_a_second_try_the_dense_stage_or_the_next_frame(faulty, fault):
    method, stream = faulty
    method.fail(fault, times=1)
    assert serve(stream).published == 1 and stream.facts[-1][STEP] == AGAIN
    method.fail(fault, only_refined=True)
    assert serve(stream).published == 2 and stream.facts[-1][STEP] == DENSE
    assert stream.facts[-1][REFINED] == 0
    method.fail(fault)  # wherever
    assert serve(stream).failed == 1
    method.fail(fault, times=0)
    counts = serve(stream)
    assert stream.facts[-1][STEP] == ASKED  # at once, as the fault was of one frame
    assert (counts.received, counts.published, counts.failed, counts.waiting) == (4, 3, 1, 0)
    assert stream.workers[0].recovery.state.recovered == 2
    assert not stream.workers[0].recovery.why_stopped


def test_a_frame_that_is_segmented_otherwise_than_asked_is_logged_with_the_reason(faulty):
    method, stream = faulty
    method.fail('exception', only_refined=True)
    serve(stream)
    serve(stream)
    assert stream.lines == [(
        'warning', "camera: frame segmented by 'dense only', as it failed before: RuntimeError: a "
        'layer breaks; so are the next 5 frames of this camera')]


def test_a_thread_that_keeps_ending_is_started_again_a_few_times_and_then_says_why(make_stream):
    stream = make_stream({'camera': Sink()}, segment=segmenter(Deadly()))
    worker, white = stream.workers[0], np.full((9, 9, 3), 255, np.uint8)
    for number in range(1, MOST_DEATHS + 2):
        assert serve(stream, white).failed == number
        worker.running[0].join(PATIENCE_SECONDS)
        worker.revive()
        worker.revive()
        assert worker.running[0].is_alive() == (number <= MOST_DEATHS)
    assert 'ended 4 times in 60 s, at last by SystemExit: the library ends; mend the cause' in \
        worker.recovery.why_stopped
    worker.restart()
    assert serve(stream).published == 1 and not worker.deaths
    counts = stream.slots.counters('camera')
    assert counts.received == counts.published + counts.failed == 5
