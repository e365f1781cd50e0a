# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Deadline mode: every frame refines as much as its time allows.

The budget of a frame is decided once its dense stage is done, from the time that is left then. So
neither a slow decode nor a slow dense stage makes a frame late while there is refinement to leave
out. A frame leaves enough time to others that wait for their dense stage: overload costs
refinement before it costs frames. The user's own budget is never exceeded. There is no feedback
from one budget to the next, only costs that are learnt, so budgets cannot oscillate.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.status import deadline_facts
from sparse_seg_ros.methods.request import Budget
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.stream.cost_model import CostModel
from sparse_seg_ros.stream.deadline_record import DeadlineRecord
from sparse_seg_ros.stream.schedule import Deadlines

Size = tuple[int, int]
STEPS = (0.0, 0.00125, 0.0025, *(0.005 * 2 ** (step / 2) for step in range(15)), 1.0)  # budgets
SIZES = 16  # of which costs are known; the one not seen for longest is forgotten


@dataclass(eq=False)
class Plan:
    """
    One frame of a camera with a deadline. Called, it decides the budget of the frame.

    due_seconds: monotonic. asked: the budget of the user; None of a model without one. tries: how
    often the model was called for the frame.
    """

    planner: DeadlinePlanner
    frame: Frame
    size_hw: Size
    started_seconds: float
    due_seconds: float
    asked: float | None
    decided_seconds: float = math.nan
    slack_seconds: float = math.nan
    budget: float = math.nan
    tries: int = 0

    def __call__(self) -> float:
        return self.planner.decide(self)

    def within(self, asked: float | None) -> Budget | None:
        """Return what to ask of a model: to be decided, up to a budget; 0 where nothing is."""
        self.tries += 1
        if self.asked is None:  # of a model without one
            return None
        self.asked = asked or 0.0  # None is of a model without one, as long as a frame is tried
        if not asked:
            self.budget = 0.0
            return 0.0
        return self


class DeadlinePlanner:
    """
    Decides budgets and learns what frames cost; threads share it.

    waiting: returns the frames that will be served next, by `workers` threads. now: as of
    Deadlines. clock: monotonic seconds. is_static: whether a frame costs what its budget allows,
    however much of it is used, unless that is all of it; then budgets are of STEPS, so that few
    sets of shapes occur.
    """

    def __init__(self, waiting: Callable[[], Iterable[Frame]],
                 now: Callable[[], tuple[int, bool]], clock: Callable[[], float] = time.monotonic,
                 workers: int = 1, is_static: bool = False):
        self.waiting, self.now, self.clock, self.workers = waiting, now, clock, workers
        self.is_static = is_static
        self.models: dict[Size, CostModel] = {}  # the last one seen comes last
        self.sizes: dict[str, Size] = {}  # of the last frame of each camera
        self.deadlines, self.record = Deadlines(), DeadlineRecord(clock)
        self.lock = threading.Lock()

    def plan(self, frame: Frame, size_hw: Size, started_seconds: float, deadlines: Deadlines,
             asked: float | None) -> Plan | None:
        """Return the plan of a frame that was taken at a moment; None without a deadline."""
        if frame.source not in deadlines.seconds:
            return None
        self.deadlines, self.sizes[frame.source] = deadlines, size_hw
        due = deadlines.due(frame, self.now, self.clock)
        return Plan(self, frame, size_hw, started_seconds, due, asked,
                    slack_seconds=due - self.clock())

    def decide(self, plan: Plan) -> float:
        """Return the budget of a frame whose dense stage is done now."""
        waiting = [*self.waiting()]
        with self.lock:
            now, model = self.clock(), self.model_of(plan.size_hw)
            soonest = now + model.bare_seconds()
            end = min(plan.due_seconds, self.latest_end(waiting, soonest))
            plan.decided_seconds, plan.slack_seconds = now, end - now
            asked = 1.0 if plan.asked is None else plan.asked
            plan.budget = min(asked, model.affordable(plan.slack_seconds))
            if self.is_static and plan.budget < asked:
                plan.budget = max(step for step in STEPS if step <= plan.budget)
            return plan.budget

    def model_of(self, size_hw: Size) -> CostModel:
        """Return what is known of a size, and forget the oldest of too many; the lock is held."""
        self.models[size_hw] = model = self.models.pop(size_hw, None) or CostModel()
        if len(self.models) > SIZES:
            del self.models[next(iter(self.models))]
        return model

    def latest_end(self, waiting: Iterable[Frame], soonest: float) -> float:
        """
        Return when a frame has to end so that the dense stages of those that wait are in time.

        soonest: when it can end; those that are late then have nothing to gain.
        """
        latest, needed = math.inf, 0.0
        for due, frame in sorted(((self.deadlines.due(frame, self.now, self.clock), frame)
                                  for frame in waiting), key=lambda pair: pair[0]):
            model = self.models.get(self.sizes.get(frame.source, (0, 0)))
            needed += model.dense_seconds() / self.workers if model else 0.0
            if due - needed > soonest:
                latest = min(latest, due - needed)
        return latest

    def learn(self, plan: Plan, prediction: Prediction) -> dict[str, Any]:
        """Take into account a frame that is published now -> facts for ~/timing."""
        with self.lock:
            now = self.clock()
            is_cut = plan.asked is not None and plan.budget < plan.asked \
                and prediction.is_cut is not False
            if plan.tries <= 1 and not math.isnan(plan.decided_seconds):  # else it took several
                self.model_of(plan.size_hw).learn(
                    plan.decided_seconds - plan.started_seconds,
                    plan.budget if self.is_static and plan.budget < 1 else prediction.density,
                    now - plan.decided_seconds)
            facts = deadline_facts(now <= plan.due_seconds, is_cut, plan.budget,
                                   plan.slack_seconds)
            self.record.add(plan.frame.source, now <= plan.due_seconds, is_cut,
                            plan.asked is not None, facts)
            return facts
