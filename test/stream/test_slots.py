# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One slot per camera, and every frame accounted for."""

from __future__ import annotations

import random
import threading
import time

import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.stream.slots import OUTCOMES, Counters, LatestFrameSlots


def frame_of(camera: str, number: int) -> Frame:
    return Frame(camera, read_image=lambda: None, header=number, arrived_seconds=time.monotonic())


def opened(*cameras: str) -> LatestFrameSlots:
    slots = LatestFrameSlots(cameras or ('camera',))
    slots.open()
    return slots


def test_the_newest_frame_wins_and_the_older_is_counted():
    slots = opened()
    assert slots.put(frame_of('camera', 1)) and slots.put(frame_of('camera', 2))
    frame = slots.take(0)
    assert frame.header == 2
    slots.settle(frame, 'published')
    assert slots.counters('camera') == Counters(received=2, published=1, superseded=1)
    assert slots.take(0) is None


def test_a_closed_gate_counts_nothing():
    slots = LatestFrameSlots(('camera',))
    assert not slots.put(frame_of('camera', 1))
    assert slots.counters('camera') == Counters()


def test_cameras_take_turns_however_fast_one_is():
    slots, served = opened('fast', 'slow'), []
    slots.put(frame_of('slow', 0))
    for number in range(6):
        slots.put(frame_of('fast', number))
        if number % 2:
            slots.put(frame_of('slow', number))
        frame = slots.take(0)
        served.append(frame.source)
        slots.settle(frame, 'published')
    assert served[:2] == ['fast', 'slow'] and served.count('slow') == 3


def test_close_counts_the_slot_and_the_frame_in_flight_as_abandoned():
    slots = opened()
    slots.put(frame_of('camera', 1))
    frame = slots.take(0)
    slots.put(frame_of('camera', 2))
    slots.close()
    slots.settle(frame, 'published')  # too late: counted already
    assert slots.counters('camera') == Counters(received=2, abandoned=2)
    assert not slots.begin_publishing(frame)


@pytest.mark.parametrize('is_publishing, timeout_seconds', [(False, 10), (True, 0)])
def test_close_waits_for_a_frame_in_flight_and_always_for_one_being_published(
        is_publishing, timeout_seconds):
    slots = opened()
    slots.put(frame_of('camera', 1))
    frame = slots.take(0)
    if is_publishing:
        assert slots.begin_publishing(frame)
    timer = threading.Timer(0.05, slots.settle, (frame, 'published'))
    timer.start()
    slots.close(timeout_seconds)
    assert slots.counters('camera') == Counters(received=1, published=1)


def test_take_waits_for_a_frame_of_another_thread():
    slots = opened()
    timer = threading.Timer(0.05, slots.put, [frame_of('camera', 1)])
    timer.start()
    assert slots.take(10).header == 1


@pytest.mark.parametrize('workers', [1, 3])
def test_received_equals_the_outcomes_at_any_time_under_load(workers):
    slots, outcomes, violations = opened('a', 'b'), random.Random(0), []

    def work():
        while (frame := slots.take(0.3)) is not None:
            slots.settle(frame, outcomes.choice(OUTCOMES))

    def watch():
        with slots.changed:  # at one instant: counted here, not as Counters does
            for camera in ('a', 'b'):
                there = (slots.slots[camera] is not None) + sum(
                    frame.source == camera for frame in slots.in_flight)
                if slots.counts[camera].waiting != there or there > 1 + workers:
                    violations.append((camera, there, slots.counts[camera]))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for number in range(3000):
        slots.put(frame_of('ab'[number % 2], number))
        watch()
    slots.close(10)
    for thread in threads:
        thread.join(10)
    assert not violations
    for camera in ('a', 'b'):
        counts = slots.counters(camera)
        assert counts.received == 1500 == counts.settled and counts.waiting == 0


def test_every_worker_has_a_frame_in_flight_and_close_waits_for_all():
    slots = opened('a', 'b')
    for camera in ('a', 'b'):
        slots.put(frame_of(camera, 1))
    first, second = slots.take(0), slots.take(0)
    assert {first.source, second.source} == {'a', 'b'}
    slots.settle(second, 'published')
    assert slots.begin_publishing(first) and not slots.begin_publishing(second)
    timer = threading.Timer(0.05, slots.settle, (first, 'published'))
    timer.start()
    slots.close()
    assert slots.counters('a').published == slots.counters('b').published == 1


def test_a_frame_that_a_newer_one_has_overtaken_is_not_published():
    slots = opened()
    slots.put(frame_of('camera', 1))
    first = slots.take(0)
    slots.put(frame_of('camera', 2))
    second = slots.take(0)
    assert slots.begin_publishing(second)
    slots.settle(second, 'published')
    assert not slots.begin_publishing(first)
    slots.settle(first, 'abandoned')  # counted already
    assert slots.counters('camera') == Counters(received=2, published=1, superseded=1)


def test_a_frame_waits_until_an_older_one_of_its_camera_is_published():
    slots, order = opened('a', 'b'), []
    for _ in range(2):
        slots.put(frame_of('a', 1))
        slots.put(frame_of('b', 1))
        order += [slots.take(0), slots.take(0)]
    first, other, second, _ = order
    assert (first.source, second.source, other.source) == ('a', 'a', 'b')
    assert slots.begin_publishing(first) and slots.begin_publishing(other)
    newer = threading.Thread(target=lambda: order.append(slots.begin_publishing(second)))
    newer.start()
    assert len(order) == 4  # it waits
    order.append('the older one')
    slots.settle(first, 'published')
    newer.join(10)
    assert order[4:] == ['the older one', True]


def test_an_unknown_outcome_is_an_error():
    slots = opened()
    slots.put(frame_of('camera', 1))
    with pytest.raises(ValueError, match='outcome must be one of published'):
        slots.settle(slots.take(0), 'lost')


def test_frames_that_wait_while_nothing_becomes_of_any_are_stuck():
    slots = opened()
    slots.moved_seconds -= 20
    assert slots.stuck_seconds() == slots.running_seconds() == 0.0
    slots.put(frame_of('camera', 1))
    assert slots.stuck_seconds() < 10  # it has waited only since it came
    slots.moved_seconds -= 20
    slots.put(frame_of('camera', 2))
    assert slots.stuck_seconds() > 20  # one superseded is no progress
    frame = slots.take(0)
    assert slots.stuck_seconds() < 10 and slots.running_seconds() > 0
    slots.settle(frame, 'published')
    assert slots.stuck_seconds() == slots.running_seconds() == 0.0


def test_unusable_frames_are_counted_in_a_row():
    slots, rows = opened(), []
    for outcome in ('failed', 'invalid', 'stale', 'failed', 'published', 'invalid'):
        slots.put(frame_of('camera', 1))
        slots.settle(slots.take(0), outcome)
        rows.append(slots.counters('camera').in_a_row)
    assert rows == [1, 2, 2, 3, 0, 1]
