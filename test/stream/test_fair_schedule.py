# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Turns of several cameras, by scripted costs on a scripted clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.stream.fair_schedule import Rules
from sparse_seg_ros.stream.slots import LatestFrameSlots


@dataclass(frozen=True)
class Script:
    """A camera: its rate, and how long its frames take until they have an outcome."""

    hz: float
    seconds: float = 0.02
    outcome: str = 'published'
    stops_at: float = float('inf')


class Simulation:
    """Cameras and one worker on a clock that only moves when one of them does something."""

    def __init__(self, cameras: dict[str, Script], **rules):
        self.cameras, self.now, self.served = cameras, 0.0, []
        self.slots = LatestFrameSlots(cameras, lambda: Rules(**rules), lambda: self.now)
        self.slots.open()
        self.arrivals = [(0.001 * index, name) for index, name in enumerate(cameras)]
        heapq.heapify(self.arrivals)

    def arrive_until(self, end: float) -> None:
        """Let frames come until a moment, each on its time."""
        while self.arrivals and self.arrivals[0][0] <= end:
            at, name = heapq.heappop(self.arrivals)
            self.now = max(self.now, at)
            self.slots.put(Frame(name, lambda: None, arrived_seconds=at))
            if at + 1 / self.cameras[name].hz < self.cameras[name].stops_at:
                heapq.heappush(self.arrivals, (at + 1 / self.cameras[name].hz, name))

    def run(self, seconds: float, on_served: Callable | None = None) -> dict[str, float]:
        """Serve frames -> outcomes a second of each camera, whatever they are."""
        start = self.now
        before = {name: self.slots.counters(name) for name in self.cameras}
        while self.now < start + seconds:
            self.arrive_until(self.now)
            frame = self.slots.take(0)
            if frame is None:
                self.now = self.arrivals[0][0]
                continue
            script = self.cameras[frame.source]
            end = self.now + script.seconds
            self.arrive_until(end)
            self.now = end
            self.served.append((frame.source, self.now - frame.arrived_seconds))
            self.slots.settle(frame, script.outcome)
        after = {name: self.slots.counters(name) for name in self.cameras}
        return {name: (getattr(after[name], script.outcome) - getattr(before[name],
                       script.outcome)) / seconds for name, script in self.cameras.items()}


@pytest.mark.parametrize('weight', [1.0, 2.0, 5.0])
def test_floods_get_time_by_their_weights(weight):
    rates = Simulation({'front': Script(200), 'rear': Script(200)},
                       weights={'front': weight}).run(60)
    assert rates['front'] / rates['rear'] == pytest.approx(weight, rel=0.02)
    assert sum(rates.values()) == pytest.approx(50, rel=0.01)


def test_shares_are_of_time_so_large_images_come_less_often():
    rates = Simulation({'large': Script(200, 0.04), 'small': Script(200, 0.01)}).run(60)
    assert rates['large'] * 0.04 == pytest.approx(rates['small'] * 0.01, rel=0.02)


def test_a_flood_does_not_take_a_camera_its_rate_nor_delay_it_by_more_than_one_frame():
    simulation = Simulation({'calm': Script(15), 'flood': Script(1000)})
    assert simulation.run(20)['calm'] == pytest.approx(15, rel=0.01)
    ages = [age for name, age in simulation.served if name == 'calm']
    assert max(ages) <= 2 * 0.02 + 1e-9


def test_a_camera_that_stops_leaves_its_time_to_the_others_and_claims_none_of_it_later():
    simulation = Simulation({'front': Script(200, stops_at=20), 'rear': Script(200)})
    simulation.run(20)
    assert simulation.run(20)['rear'] == pytest.approx(50, rel=0.01)
    simulation.cameras['front'] = Script(200)
    simulation.arrivals.append((simulation.now, 'front'))
    heapq.heapify(simulation.arrivals)
    rates = simulation.run(4)  # at once
    assert rates['front'] == pytest.approx(rates['rear'], rel=0.04)


def test_rubbish_costs_others_only_the_time_to_see_that_it_is_rubbish():
    calm = {'front': Script(200), 'rear': Script(200)}
    alone = Simulation(calm).run(10)
    beside = Simulation({**calm, 'rubbish': Script(1000, 0.002, 'invalid')}).run(10)
    for name in calm:
        assert beside[name] > 0.65 * alone[name]  # never below the fair third
    slow = Simulation({**calm, 'rubbish': Script(30, 0.001, 'invalid')}).run(10)
    for name in calm:
        assert slow[name] > 0.96 * alone[name]


def test_rubbish_takes_a_camera_nothing_of_its_own_rate():
    simulation = Simulation({'camera': Script(30, 0.001, 'invalid')}, max_hz={'camera': 10.0})
    assert simulation.run(10)['camera'] == pytest.approx(30, abs=0.2)  # none used up a turn
    assert simulation.slots.counters('camera').limited == 0


@pytest.mark.parametrize('hz, limit', [(30, 20), (30, 7), (100, 99), (25, 10)])
def test_a_rate_limit_is_exact_over_time_and_what_is_above_it_is_counted(hz, limit):
    simulation = Simulation({'camera': Script(hz, 0.001), 'other': Script(10, 0.001)},
                            max_hz={'camera': float(limit)})
    rates, counts = simulation.run(100), simulation.slots.counters('camera')
    assert rates['camera'] == pytest.approx(limit, abs=0.02) and rates['other'] == 10
    assert counts.limited == counts.received - counts.published - counts.waiting
    assert simulation.slots.counters('other').limited == 0


def test_a_rate_that_is_raised_holds_from_the_next_frame_on():
    max_hz = {'camera': 0.01}
    simulation = Simulation({'camera': Script(30, 0.001)}, max_hz=max_hz)
    simulation.run(1)
    max_hz['camera'] = 10.0
    assert simulation.run(10)['camera'] == pytest.approx(10, abs=0.2)


def test_images_that_come_at_once_are_one_in_a_rate():
    slots = LatestFrameSlots(['camera'], lambda: Rules(max_hz={'camera': 3.0}), lambda: 9e5 + 0.1)
    slots.open()
    for _ in range(5):
        slots.put(Frame('camera', lambda: None, arrived_seconds=9e5 + 0.1))
    assert slots.counters('camera').limited == 4


def test_a_rate_above_that_of_the_camera_limits_nothing():
    simulation = Simulation({'camera': Script(30, 0.001)}, max_hz={'camera': 31.0})
    simulation.run(20)
    assert simulation.slots.counters('camera').limited == 0


@pytest.mark.parametrize('is_abandoned', [True, False])
def test_a_camera_whose_frame_the_model_hung_in_soon_has_its_share_again(is_abandoned):
    simulation = Simulation({'front': Script(200), 'rear': Script(200)})
    simulation.run(2)
    simulation.arrive_until(simulation.now)
    hung = simulation.slots.take(0)
    simulation.now += 60
    if is_abandoned:
        simulation.slots.close()
        simulation.slots.open()
    else:
        simulation.slots.settle(hung, 'published')
    simulation.arrivals = [(simulation.now, name) for name in simulation.cameras]
    simulation.run(1)
    rates = simulation.run(4)
    assert rates[hung.source] == pytest.approx(25, rel=0.1)


def test_of_cameras_that_are_due_their_share_the_earliest_deadline_comes_first():
    seconds = {'a': 0.3, 'b': 0.1, 'c': 0.2}
    slots = LatestFrameSlots(seconds, lambda: Rules(
        due=lambda frame: frame.arrived_seconds + seconds[frame.source]), lambda: 0.0)
    slots.open()
    for name in seconds:
        slots.put(Frame(name, lambda: None))
    assert [slots.take(0).source for _ in seconds] == ['b', 'c', 'a']


def test_urgent_floods_get_no_more_than_their_share():
    def due(frame):
        return frame.arrived_seconds + (0.03 if frame.source == 'urgent' else 0.5)
    rates = Simulation({'urgent': Script(500), 'calm': Script(500)}, due=due).run(60)
    assert rates['urgent'] == pytest.approx(rates['calm'], rel=0.02)


def test_weights_change_from_the_next_frame_on():
    weights = {}
    simulation = Simulation({'front': Script(200), 'rear': Script(200)}, weights=weights)
    simulation.run(20)
    weights['rear'] = 3.0
    rates = simulation.run(20)
    assert rates['rear'] / rates['front'] == pytest.approx(3, rel=0.05)


def test_two_workers_share_as_one_does():
    slots = LatestFrameSlots(('front', 'rear'), lambda: Rules({'front': 2.0}))
    clock = slots.clock = lambda: now
    now, served, running = 0.0, [], []
    slots.open()
    for step in range(600):
        now = step * 0.01
        for name in ('front', 'rear'):
            slots.put(Frame(name, lambda: None, arrived_seconds=clock()))
        if step % 2 == 0:
            running.append(slots.take(0))
            served.append(running[-1].source)
            if len(running) == 2:
                slots.settle(running.pop(0), 'published')
    assert served.count('front') / served.count('rear') == pytest.approx(2, rel=0.05)
