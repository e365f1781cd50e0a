# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deadline mode by scripted costs: a toy segmenter that moves the clock it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.status import BUDGET, DEGRADED, ON_TIME, SLACK, read_milliseconds
from sparse_seg_ros.stream.deadline import SIZES, DeadlinePlanner
from sparse_seg_ros.stream.deadline import STEPS as GPU_STEPS
from sparse_seg_ros.stream.deadline_record import LATE, QUIET_SECONDS, DeadlineRecord
from sparse_seg_ros.stream.schedule import Deadlines

DENSE, BASE, SLOPE = 0.1, 0.005, 0.6  # seconds; slope: for all pixels
DEADLINE = 1.3 * DENSE
STEPS = (0.02, 0.09, 0.04, 0.14)  # fraction of the pixels that are uncertain
SIZE_HW = (512, 1024)


@dataclass
class Costs:
    """Of one frame, with its noise."""

    dense: float = DENSE
    base: float = BASE
    slope: float = SLOPE
    uncertain: float = 0.05

    def oracle(self, deadline: float = DEADLINE) -> float:
        """Return the fraction that one could refine who knows the costs."""
        return float(np.clip((deadline - self.dense - self.base) / self.slope, 0, self.uncertain))


@dataclass
class Toy:
    """Runs frames back to back under a planner, on a clock of its own."""

    deadline: float | None = DEADLINE
    asked: float | None = 1.0
    now: float = 0.0
    waiting: list = field(default_factory=list)
    is_static: bool = False

    def __post_init__(self):
        self.planner = DeadlinePlanner(lambda: self.waiting, lambda: (0, False), lambda: self.now,
                                       is_static=self.is_static)
        self.budgets, self.facts = [], []

    def run(self, costs: Costs, camera: str = 'camera') -> tuple[bool, float]:
        """Segment one frame that has just come -> whether it was on time, refined fraction."""
        frame = Frame(camera, lambda: None, arrived_seconds=self.now)
        seconds = {'camera': self.deadline} if self.deadline else {}
        plan = self.planner.plan(frame, SIZE_HW, self.now, Deadlines(seconds, False), self.asked)
        self.now += costs.dense
        budget = 1.0 if plan is None or self.asked is None else plan()
        refined = min(budget, costs.uncertain)
        is_bound = self.is_static and budget < 1
        self.now += costs.base + costs.slope * (budget if is_bound else refined)
        if plan is not None:
            self.facts.append(self.planner.learn(
                plan, SimpleNamespace(density=refined, is_cut=refined < costs.uncertain)))
        self.budgets.append(budget)
        return self.now <= frame.arrived_seconds + DEADLINE, refined


def script(seed: int, count: int = 1000, steps=STEPS, length: int = 50, noise: float = 0.1):
    """Yield costs whose complexity steps up and down, each with noise of its own."""
    random = np.random.default_rng(seed)
    for number in range(count):
        dense, base, slope = 1 + noise * random.uniform(-1, 1, 3) * math.sqrt(3)
        yield Costs(DENSE * dense, BASE * base, SLOPE * slope,
                    steps[number // length % len(steps)])


@pytest.mark.parametrize('seed', range(3))
def test_a_thousand_frames_are_on_time_and_refine_nearly_what_an_oracle_would(seed):
    frames, toy, without = [*script(seed)], Toy(), Toy(deadline=None)
    on_time, refined = np.array([toy.run(costs) for costs in frames]).T
    assert on_time.mean() >= 0.99
    assert refined.mean() >= 0.8 * np.mean([costs.oracle() for costs in frames])
    assert np.mean([without.run(costs)[0] for costs in frames]) <= 0.75


@pytest.mark.parametrize('steps', [(0.02, 0.2), (0.03,), (0.2,), (0.0, 0.1, 0.3)])
def test_other_scenes_are_on_time_too(steps):
    toy = Toy()
    assert np.mean([toy.run(costs)[0] for costs in script(5, 600, steps)]) >= 0.99


def test_budgets_do_not_oscillate_and_follow_a_step_at_once():
    toy = Toy()
    for uncertain in (0.02, 0.2, 0.02, 0.2):
        for _ in range(40):
            toy.run(Costs(uncertain=uncertain))
    calm = np.array(toy.budgets[20:])
    assert np.ptp(calm[:20]) < 0.1 * calm.mean()
    assert (np.abs(np.diff(calm)) < 0.05 * calm[1:]).all()  # steps of the scene do not show
    for slower in (1.5, 1.0):
        toy.budgets.clear()
        for _ in range(60):
            toy.run(Costs(slope=SLOPE * slower, uncertain=0.2))
        moves = np.diff(toy.budgets[:40])
        down, up = -moves[moves < 0].sum(), moves[moves > 0].sum()
        assert min(down, up) < 0.2 * max(down, up)  # it goes one way
        assert np.ptp(toy.budgets[-10:]) < 0.05 * toy.budgets[-1]


def test_without_slack_only_the_dense_result_is_made_and_flagged_as_late():
    toy = Toy()
    for _ in range(30):
        toy.run(Costs())
    assert toy.run(Costs(dense=2 * DENSE)) == (False, 0.0)
    facts = toy.facts[-1]
    assert (facts[ON_TIME], facts[DEGRADED], facts[BUDGET]) == ('false', 'true', 0.0)
    assert float(facts[SLACK]) < 0


def test_costs_are_not_learnt_of_a_frame_that_is_tried_again():
    toy = Toy()
    for _ in range(30):
        toy.run(Costs())
    known = toy.planner.models[SIZE_HW]
    before, ratios = [*known.before], [*known.ratios]
    frame = Frame('camera', lambda: None, arrived_seconds=toy.now)
    plan = toy.planner.plan(frame, SIZE_HW, toy.now, Deadlines({'camera': DEADLINE}, False), 1.0)
    plan.within(1.0)()
    toy.now += 5.0  # the refinement fails, and the dense stage alone takes its time once more
    assert plan.within(0.0) == 0.0
    toy.planner.learn(plan, SimpleNamespace(density=0.0, is_cut=True))
    assert ([*known.before], [*known.ratios]) == (before, ratios)
    assert toy.planner.record.late == 1


def test_a_try_without_a_budget_does_not_take_the_next_ones_away():
    toy = Toy()
    frame = Frame('camera', lambda: None, arrived_seconds=toy.now)
    plan = toy.planner.plan(frame, SIZE_HW, toy.now, Deadlines({'camera': DEADLINE}, False), 1.0)
    assert plan.within(None) == 0.0
    assert plan.within(0.4)() <= 0.4 and plan.asked == 0.4


def test_the_budget_of_the_user_is_never_exceeded():
    toy = Toy(deadline=100.0, asked=0.03)
    for _ in range(30):
        toy.run(Costs(uncertain=0.2))
    assert max(toy.budgets) == 0.03 and toy.facts[-1][DEGRADED] == 'false'


def test_where_a_frame_costs_its_budget_that_is_one_of_few_and_what_is_said_is_what_was_used():
    toy, affordable = Toy(is_static=True), (DEADLINE - DENSE - BASE) / SLOPE
    for _ in range(400):
        toy.run(Costs(uncertain=0.02))
    assert {*toy.budgets} <= {*GPU_STEPS} and len(GPU_STEPS) < 20
    assert toy.budgets[-1] == max(step for step in GPU_STEPS if step < affordable)
    assert [facts[BUDGET] for facts in toy.facts] == [round(each, 5) for each in toy.budgets]
    assert toy.planner.record.late <= 1
    toy.asked = 0.013  # what the user asks is no step, and is not rounded
    toy.run(Costs(uncertain=0.02))
    assert toy.budgets[-1] == 0.013 and toy.facts[-1][DEGRADED] == 'false'


def test_a_frame_that_may_refine_all_costs_what_it_refines_on_a_gpu_too():
    toy = Toy(deadline=10.0, is_static=True)
    for _ in range(100):
        toy.run(Costs(uncertain=0.02))
    assert toy.budgets[-1] == 1.0
    assert toy.planner.models[SIZE_HW].line.slope == pytest.approx(SLOPE, rel=0.05)
    toy.deadline = DEADLINE
    assert toy.run(Costs(uncertain=0.9))[0]


def test_a_frame_that_is_less_uncertain_than_its_budget_is_not_degraded():
    toy = Toy()
    for _ in range(30):
        toy.run(Costs(uncertain=0.01))
    assert toy.budgets[-1] < 1.0 and toy.facts[-1][DEGRADED] == 'false'
    toy.run(Costs(uncertain=0.3))
    assert toy.facts[-1][DEGRADED] == 'true'


def test_a_frame_of_which_nothing_is_to_be_refined_is_not_degraded_by_its_deadline():
    toy = Toy()
    plan = toy.planner.plan(Frame('camera', lambda: None, arrived_seconds=toy.now), SIZE_HW,
                            toy.now, Deadlines({'camera': DEADLINE}, False), 0.2)
    assert plan.within(0.0) == 0.0  # the recovery asks for the dense stage alone
    facts = toy.planner.learn(plan, SimpleNamespace(density=0.0, is_cut=True))
    assert facts[DEGRADED] == 'false' and facts[BUDGET] == 0.0


def test_a_model_without_refinement_only_has_its_lateness_flagged():
    toy = Toy(asked=None)
    toy.run(Costs(uncertain=0.0))
    for _ in range(3):
        toy.run(Costs(dense=2 * DENSE, uncertain=0.0))
    assert [facts[ON_TIME] for facts in toy.facts] == ['true', 'false', 'false', 'false']
    assert BUDGET not in toy.facts[-1] and toy.facts[-1][DEGRADED] == 'false'
    status = toy.planner.record.status()
    assert (status.level, status.values[LATE]) == ('WARN', 3)
    assert status.message == (
        '3 of the last 4 frames of camera were late; use a smaller model or a longer deadline_ms; '
        'the model refines nothing that could be left out')


def test_a_camera_without_a_deadline_has_no_plan_and_costs_nothing():
    toy = Toy()
    toy.run(Costs(), camera='other')
    assert not toy.facts and not toy.planner.models and toy.budgets == [1.0]


def test_a_frame_leaves_time_to_the_dense_stage_of_one_that_waits():
    toy = Toy(deadline=3 * DENSE)
    for _ in range(40):
        toy.run(Costs(uncertain=0.3))
    alone = toy.budgets[-1]
    toy.waiting = [Frame('camera', lambda: None, arrived_seconds=toy.now)]
    start = toy.now
    toy.run(Costs(uncertain=0.3))
    assert 0 < toy.budgets[-1] < 0.6 * alone
    assert toy.now + DENSE + BASE <= start + 3 * DENSE
    toy.waiting = [Frame('camera', lambda: None, arrived_seconds=toy.now - 100)]
    toy.run(Costs(uncertain=0.3))
    assert toy.budgets[-1] > 0.9 * alone  # nothing helps a frame that is late already


def test_the_status_rises_after_three_troubles_and_falls_after_ten_frames_without():
    toy, levels = Toy(), []
    for _ in range(20):  # costs are learnt meanwhile
        toy.run(Costs(uncertain=0.01))
    toy.planner.record = DeadlineRecord()
    for number in range(60):
        toy.run(Costs(uncertain=0.3 if 30 <= number < 34 else 0.01))
        levels.append(toy.planner.record.status().level)
    assert levels.index('WARN') == 32 and levels[:32] == ['OK'] * 32
    assert levels[32:43] == ['WARN'] * 11 and levels[43:] == ['OK'] * 17
    assert toy.planner.record.degraded == 4


def test_a_slow_camera_that_is_always_late_is_told_beside_a_fast_one_that_never_is():
    now = 0.0
    record = DeadlineRecord(lambda: now)
    for number in range(200):
        record.add('front', is_on_time=True, is_cut=False, refines=True, facts={})
        if number % 20 == 0:
            record.add('rear', is_on_time=False, is_cut=True, refines=True, facts={})
    status = record.status()
    assert status.level == 'ERROR'
    assert status.message.startswith('10 of the last 10 frames of rear were late; use a smaller')
    now = QUIET_SECONDS
    record.add('front', is_on_time=True, is_cut=False, refines=True, facts={})
    assert record.status().level == 'OK'  # the other has stopped, which its input status tells


def test_keys_of_timing_and_diagnostics_keep_the_names_that_users_rely_on():
    toy = Toy()
    toy.run(Costs())
    assert [*toy.facts[0]] == ['on time', 'degraded', 'slack ms', 'budget']
    status = toy.planner.record.status()
    assert status.task == 'deadline'
    assert [*status.values] == ['on time', 'degraded', 'slack ms', 'budget', 'late']
    assert read_milliseconds(status) == {}  # slack is no stage
    assert DeadlineRecord().status().message == 'no frames yet'


def test_costs_are_learnt_by_size_and_only_of_the_last_sizes():
    toy = Toy()
    for _ in range(30):
        toy.run(Costs())
    known = toy.planner.models[SIZE_HW]
    for height in range(SIZES - 1):
        toy.planner.model_of((height, 1))
        assert toy.planner.model_of(SIZE_HW) is known
    toy.planner.model_of((600, 800))
    assert len(toy.planner.models) == SIZES and (0, 1) not in toy.planner.models


NOW = 10 ** 18


@pytest.mark.parametrize('stamp, from_stamp, due', [
    (NOW - 2 * 10 ** 8, True, 100.1), (NOW - 2 * 10 ** 8, False, 100.2),
    (0, True, 100.2), (NOW - 10 ** 15, True, 100.2),
    (NOW + 3 * 10 ** 8, True, 100.2), (NOW - 5 * 10 ** 7, True, 100.2)])  # a clock that is ahead
def test_a_deadline_counts_from_the_stamp_or_from_an_arrival_before_it_or_of_unknown_age(
        stamp, from_stamp, due):
    frame = Frame('camera', lambda: None, stamp=stamp, arrived_seconds=99.9)
    deadlines = Deadlines({'camera': 0.3}, from_stamp)
    assert deadlines.due(frame, lambda: (NOW, False), lambda: 100.0) == pytest.approx(due)
    assert Deadlines().due(frame, lambda: (NOW, False), lambda: 100.0) == math.inf
