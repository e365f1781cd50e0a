# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One slot per camera, and every frame accounted for."""

from __future__ import annotations

import random
import threading

import pytest

from sparse_seg_ros.ros.newest import OUTCOMES, Counters, Newest


def opened(*cameras: str) -> Newest:
    newest = Newest(cameras or ('camera',))
    newest.open()
    return newest


def test_the_newest_frame_wins_and_the_older_is_counted():
    newest = opened()
    assert newest.put('camera', 1) and newest.put('camera', 2)
    frame = newest.take(0)
    assert frame.message == 2
    newest.settle(frame, 'published')
    assert newest.counters('camera') == Counters(received=2, published=1, superseded=1)
    assert newest.take(0) is None


def test_a_closed_gate_counts_nothing():
    newest = Newest(('camera',))
    assert not newest.put('camera', 1)
    assert newest.counters('camera') == Counters()


def test_cameras_take_turns_however_fast_one_is():
    newest, served = opened('fast', 'slow'), []
    newest.put('slow', 0)
    for number in range(6):
        newest.put('fast', number)
        if number % 2:
            newest.put('slow', number)
        frame = newest.take(0)
        served.append(frame.camera)
        newest.settle(frame, 'published')
    assert served[:2] == ['fast', 'slow'] and served.count('slow') == 3


def test_close_counts_the_slot_and_the_frame_in_flight_as_abandoned():
    newest = opened()
    newest.put('camera', 1)
    frame = newest.take(0)
    newest.put('camera', 2)
    newest.close()
    newest.settle(frame, 'published')  # too late: counted already
    assert newest.counters('camera') == Counters(received=2, abandoned=2)
    assert not newest.begin_publishing(frame)


@pytest.mark.parametrize('is_publishing, timeout_seconds', [(False, 10), (True, 0)])
def test_close_waits_for_a_frame_in_flight_and_always_for_one_being_published(
        is_publishing, timeout_seconds):
    newest = opened()
    newest.put('camera', 1)
    frame = newest.take(0)
    if is_publishing:
        assert newest.begin_publishing(frame)
    timer = threading.Timer(0.05, newest.settle, (frame, 'published'))
    timer.start()
    newest.close(timeout_seconds)
    assert newest.counters('camera') == Counters(received=1, published=1)


def test_take_waits_for_a_frame_of_another_thread():
    newest = opened()
    timer = threading.Timer(0.05, newest.put, ('camera', 1))
    timer.start()
    assert newest.take(10).message == 1


def test_received_equals_the_outcomes_at_any_time_under_load():
    newest, outcomes, violations = opened('a', 'b'), random.Random(0), []

    def work():
        while (frame := newest.take(0.3)) is not None:
            newest.settle(frame, outcomes.choice(OUTCOMES))

    def watch():
        for camera in ('a', 'b'):
            if not 0 <= newest.counters(camera).waiting <= 2:
                violations.append(newest.counters(camera))

    worker = threading.Thread(target=work)
    worker.start()
    for number in range(3000):
        newest.put('ab'[number % 2], number)
        watch()
    newest.close(10)
    worker.join(10)
    assert not violations
    for camera in ('a', 'b'):
        counts = newest.counters(camera)
        assert counts.received == 1500 == counts.settled and counts.waiting == 0


def test_an_unknown_outcome_is_an_error():
    newest = opened()
    newest.put('camera', 1)
    with pytest.raises(ValueError, match='outcome must be one of published'):
        newest.settle(newest.take(0), 'lost')


def test_frames_that_wait_while_nothing_becomes_of_any_are_stuck():
    newest = opened()
    newest.moved_seconds -= 20
    assert newest.stuck_seconds() == newest.running_seconds() == 0.0
    newest.put('camera', 1)
    assert newest.stuck_seconds() < 10  # it has waited only since it came
    newest.moved_seconds -= 20
    newest.put('camera', 2)
    assert newest.stuck_seconds() > 20  # one superseded is no progress
    frame = newest.take(0)
    assert newest.stuck_seconds() < 10 and newest.running_seconds() > 0
    newest.settle(frame, 'published')
    assert newest.stuck_seconds() == newest.running_seconds() == 0.0


def test_unusable_frames_are_counted_in_a_row():
    newest, rows = opened(), []
    for outcome in ('failed', 'invalid', 'stale', 'failed', 'published', 'invalid'):
        newest.put('camera', 1)
        newest.settle(newest.take(0), outcome)
        rows.append(newest.counters('camera').in_a_row)
    assert rows == [1, 2, 2, 3, 0, 1]
