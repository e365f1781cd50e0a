# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
`sparse_seg bench deadline`: how many frames are on time, and how much of them is refined.

Frames of a street, of which noise makes more or fewer pixels uncertain, step by step, go through
the model with deadline mode, without it, and at one of a ladder of fixed budgets, in turn. The
ladder measures what refining costs in this run. An oracle that knows these costs, and how long
the dense stage of every frame has taken, says what could have been refined in time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.report.tables import grid
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.stream.deadline import DeadlinePlanner
from sparse_seg_ros.stream.schedule import Deadlines

STREET, SCENES = 1001, 20  # seed of a street that no training has, and how much of it is shown
NOISE_LEVELS = (0.0, 40.0, 10.0, 60.0)  # standard deviation, of 255 levels
FRAMES_OF_A_STEP = 50
LADDER = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
WARM_UPS, DENSE_FRAMES = 3, 15


@dataclass(frozen=True)
class Setting:
    """How many frames of what size, and the deadline as a multiple of the dense time."""

    size_hw: tuple[int, int] = (512, 1024)
    frames: int = 1000
    ratio: float = 1.3

    def __post_init__(self):
        if not self.ratio > 1:
            raise ValueError(f'--ratio must be above 1, got {self.ratio:g}: no frame is ready '
                             'before its dense stage')


@dataclass
class FixedBudget:
    """A budget that is known, and notes when a method asks for it."""

    fraction: float
    decided_seconds: float = field(default=0.0, init=False)

    def __call__(self) -> float:
        self.decided_seconds = time.monotonic()
        return self.fraction


@dataclass(frozen=True)
class Timed:
    """One frame in seconds: until its budget was decided, and after; and what was refined."""

    before: float
    after: float
    refined: float

    @property
    def total(self) -> float:
        """Seconds of the whole frame."""
        return self.before + self.after


@dataclass
class Runs:
    """All frames of one benchmark, and the deadline in seconds; steps: their noise levels."""

    deadline: float
    steps: list[int] = field(default_factory=list)
    planned: list[Timed] = field(default_factory=list)
    free: list[Timed] = field(default_factory=list)
    ladder: list[list[float]] = field(default_factory=lambda: [[] for _ in LADDER])

    @cached_property
    def rungs(self) -> tuple[np.ndarray, np.ndarray]:
        """Refined fractions, and the seconds that each takes after its dense stage: rising."""
        known = [index for index, seconds in enumerate(self.ladder) if seconds]
        seconds = [float(np.median(self.ladder[index])) for index in known]
        return np.array(LADDER)[known], np.maximum.accumulate(seconds)

    def oracle(self) -> np.ndarray:
        """Return the fraction of each frame that could have been refined in time."""
        fractions, seconds = self.rungs
        slack = np.array([self.deadline - frame.before for frame in self.planned])
        affordable = np.interp(slack, seconds + 1e-9 * np.arange(len(seconds)), fractions)
        if len(seconds) > 1:  # there is no half of what an extractor does for the first pixel
            affordable[slack < seconds[1]] = 0.0
        return np.minimum(affordable, [frame.refined for frame in self.free])


def run(segment: Segmenter, setting: Setting = Setting()) -> dict[str, Any]:
    """Measure one model -> figures; ValueError for one that refines nothing."""
    if segment.budget is None:
        raise ValueError('--model must be one that refines, as a deadline is kept by refining '
                         f"less; got one of method {segment.description.get('method')!r}")
    images = noisy_streets(setting)
    dense = dense_seconds(segment, next(images)[1])
    runs = Runs(setting.ratio * dense)
    planner = DeadlinePlanner(lambda: (), lambda: (0, False),
                              is_static=segment.has_static_shapes)
    for number, (step, image) in enumerate(tqdm(images, 'frames', setting.frames, leave=False)):
        runs.steps.append(step)
        for is_planned in (True, False) if number % 2 else (False, True):
            if is_planned:
                runs.planned.append(planned(segment, image, planner, runs.deadline))
            else:
                runs.free.append(fixed(segment, image, segment.budget))
        rung = number % len(LADDER)
        found = fixed(segment, image, LADDER[rung])
        if found.refined >= 0.9 * LADDER[rung]:  # else the image has no more to refine
            runs.ladder[rung].append(found.after)
    return {'size_hw': list(setting.size_hw), 'frames': setting.frames, 'ratio': setting.ratio,
            'dense_ms': 1e3 * dense, **summarise(runs)}


def noisy_streets(setting: Setting) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first image for warming up, and then all: number of the noise level, image."""
    street = Street(STREET, setting.size_hw)
    scenes = [street.frame(10 * index).image for index in range(min(SCENES, setting.frames))]
    yield 0, scenes[0]
    for number in range(setting.frames):
        step = number // FRAMES_OF_A_STEP % len(NOISE_LEVELS)
        random, scene = np.random.default_rng(number), scenes[number % len(scenes)]
        noise = random.standard_normal(scene.shape, np.float32) * NOISE_LEVELS[step]
        yield step, np.clip(scene + noise, 0, 255).astype(np.uint8)


def dense_seconds(segment: Segmenter, image: np.ndarray) -> float:
    """Return the median time of a frame of which nothing is refined, among others that are."""
    seconds = []
    for _ in range(WARM_UPS + DENSE_FRAMES):
        segment(image)
        seconds.append(fixed(segment, image, 0.0).total)
    return float(np.median(seconds[WARM_UPS:]))


def fixed(segment: Segmenter, image: np.ndarray, fraction: float) -> Timed:
    """Segment a frame under a fixed budget."""
    started, budget = time.monotonic(), FixedBudget(fraction)
    prediction = segment(image, budget=budget)
    decided = budget.decided_seconds
    return Timed(decided - started, time.monotonic() - decided, prediction.density)


def planned(segment: Segmenter, image: np.ndarray, planner: DeadlinePlanner,
            deadline: float) -> Timed:
    """Segment a frame in deadline mode."""
    started = time.monotonic()
    frame = Frame('camera', lambda: image, arrived_seconds=started)
    plan = planner.plan(frame, image.shape[:2], started, Deadlines({'camera': deadline}, False),
                        segment.budget)
    if plan is None:
        raise RuntimeError('a frame with a deadline has no plan')
    prediction = segment(image, budget=plan)
    ended = time.monotonic()
    planner.learn(plan, prediction)
    return Timed(plan.decided_seconds - started, ended - plan.decided_seconds, prediction.density)


def summarise(runs: Runs) -> dict[str, Any]:
    """All frames -> on time, refined, what an oracle could have refined, and the costs."""
    oracle, (fractions, seconds) = runs.oracle(), runs.rungs
    steps = np.array(runs.steps)
    wanted = np.array([frame.refined for frame in runs.free])
    figures = {'deadline_ms': 1e3 * runs.deadline, 'rows': {
        name: {'on_time': float(np.mean([each.total <= runs.deadline for each in frames])),
               'refined': float(np.mean([each.refined for each in frames]))}
        for name, frames in (('with deadline mode', runs.planned), ('without', runs.free))}}
    dense_is_late = [each.before + seconds[0] > runs.deadline for each in runs.planned]
    figures['rows']['oracle'] = {'on_time': 1 - float(np.mean(dense_is_late)),
                                 'refined': float(oracle.mean())}
    return {**figures, 'missed_without': 1 - figures['rows']['without']['on_time'],
            'of_oracle': figures['rows']['with deadline mode']['refined'] / oracle.mean()
            if oracle.any() else None,
            'uncertain': [float(wanted[steps == step].mean()) for step in sorted({*runs.steps})],
            'refining_ms': {str(fraction): 1e3 * spent
                            for fraction, spent in zip(fractions.tolist(), seconds.tolist())}}


def describe(figures: dict[str, Any]) -> str:
    """Figures of `run` -> the table that the command prints."""
    height, width = figures['size_hw']
    share = figures['of_oracle']
    return '\n'.join([
        f"{figures['frames']} frames {height}x{width}, deadline {figures['deadline_ms']:.0f} ms, "
        f"{figures['ratio']:g} times the dense {figures['dense_ms']:.0f} ms; uncertain pixels in "
        f"steps of {', '.join(f'{each:.1%}' for each in figures['uncertain'])}",
        grid(['', 'on time %', 'missed %', 'refined %'], [
            [name, f"{100 * row['on_time']:.1f}", f"{100 - 100 * row['on_time']:.1f}",
             f"{100 * row['refined']:.2f}"] for name, row in figures['rows'].items()]),
        'no frame had time for refinement' if share is None else
        f'deadline mode refines {share:.0%} of what the oracle could'])
