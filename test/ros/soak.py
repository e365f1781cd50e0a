# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Four cameras in processes of their own for a long time: `make soak`.

One floods, one sends broken frames, one stops and returns. In each phase it looks at what the
diagnostics say, whether every frame is accounted for and each healthy camera has its fair share;
at the end, whether memory, threads and descriptors are those of the beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparse_seg_ros.environment import large_image_settings, private_settings
from sparse_seg_ros.messages.status import Status
from sparse_seg_ros.ros.probe import Probe, open_ros
from sparse_seg_ros.stream.health import (
    PUBLISHERS,
    RECEIVED,
    WAITING,
    frames_task,
    input_task,
    read_counters,
)
from sparse_seg_ros.stream.slots import OUTCOMES

HERE = Path(__file__).parent
CAMERAS = ('front', 'left', 'right', 'rear')
CALM, FLOOD, BROKEN = (10, 0), (100, 0), (10, 10)  # Hz, and each message that is broken
SETTLING_SECONDS, PATIENCE_SECONDS = 3.0, 60.0
FLAT, FAIR = 0.03, 0.1
WARM_UP = 0.25  # of the frames: buffers for a flood are allocated in one


@dataclass(frozen=True)
class Phase:
    """orders: what changes, None for a camera whose process ends; levels: of tasks not OK."""

    name: str
    share: float
    orders: Mapping[str, tuple[int, int] | None]
    levels: Mapping[str, str] = field(default_factory=dict)


PHASES = (
    Phase('calm', 0.1, dict.fromkeys(CAMERAS, CALM)),
    Phase('flood', 0.25, {'rear': FLOOD}),
    Phase('broken', 0.25, {'left': BROKEN}, {frames_task('left'): 'WARN'}),
    Phase('stop', 0.25, {'front': None},
          {frames_task('left'): 'WARN', input_task('front'): 'ERROR'}),
    Phase('return', 0.15, dict.fromkeys(CAMERAS, CALM)))
TASKS = tuple(task(camera) for camera in CAMERAS for task in (input_task, frames_task))


@dataclass(frozen=True)
class Moment:
    """What was known when a report came; counts: by camera."""

    seconds: float
    counts: dict[str, dict[str, int]]
    resident: int
    threads: int
    descriptors: int

    @property
    def received(self) -> int:
        """Frames of all cameras."""
        return sum(counts[RECEIVED] for counts in self.counts.values())


class Soak:
    """The node, its cameras, and the one who watches them."""

    def __init__(self, probe: Probe, command: list[str]):
        self.probe, self.cameras = probe, {}
        self.node = subprocess.Popen([*command, '--ros-args', '-p', f'cameras:={[*CAMERAS]}'])
        self.moments: list[Moment] = []
        probe.wait(lambda: probe.state == 'active', 300.0, 'the node does not become active')

    def order(self, camera: str, what: tuple[int, int] | None) -> None:
        """Tell a camera how to go on, and start or end its process where needed."""
        if what is None:
            self.end(self.cameras.pop(camera))
            return
        if camera not in self.cameras:
            process = subprocess.Popen([sys.executable, HERE / 'soak_camera.py', camera],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None and process.stdout.readline() == 'ready\n'
            self.cameras[camera] = process
        print(*what, file=self.cameras[camera].stdin, flush=True)

    def end(self, camera: subprocess.Popen) -> None:
        """End a camera's process."""
        camera.communicate(timeout=PATIENCE_SECONDS)
        assert camera.returncode == 0

    def watch(self) -> Moment:
        """Wait for a report -> what is known now; every frame must be accounted for."""
        self.probe.wait_for_reports(1)
        counts = {camera: read_counters(self.probe.statuses[frames_task(camera)])
                  for camera in CAMERAS}
        for camera, each in counts.items():
            settled = sum(each[name] for name in OUTCOMES)
            assert each[RECEIVED] == settled + each[WAITING], f'{camera}: {each}'
        folder = Path('/proc', str(self.node.pid))
        pages = int((folder / 'statm').read_text().split()[1])
        moment = Moment(time.monotonic(), counts, pages * os.sysconf('SC_PAGE_SIZE'),
                        len(list((folder / 'task').iterdir())),
                        len(list((folder / 'fd').iterdir())))
        self.moments.append(moment)
        return moment

    def run(self, phase: Phase, frames: int) -> dict[str, object]:
        """Run a phase until that many frames more were received -> its figures."""
        end = frames + (self.moments[-1].received if self.moments else 0)
        for camera, what in phase.orders.items():
            self.order(camera, what)
        wanted = {task: phase.levels.get(task, 'OK') for task in TASKS}
        self.probe.wait(lambda: levels(self.probe.statuses) == wanted, PATIENCE_SECONDS,
                        f'the diagnostics of {phase.name} are not as expected')
        self.check_words(phase)
        first = self.watch()
        while (last := self.watch()).received < end or \
                last.seconds - first.seconds < SETTLING_SECONDS:
            pass
        odd = [self.probe.statuses[task] for task, level in wanted.items()
               if self.probe.statuses[task].level not in (level, self.calm(task, level))]
        assert not odd, f'{phase.name}: {odd}'
        return self.figures(phase, first, last)

    @staticmethod
    def calm(task: str, level: str) -> str:
        """Return what a level may be for a while: a busy node sees few of the broken frames."""
        return 'OK' if task in map(frames_task, CAMERAS) else level

    def check_words(self, phase: Phase) -> None:
        """Look at the reasons that the diagnostics give."""
        for task in phase.levels:
            status = self.probe.statuses[task]
            if task == frames_task('left'):
                assert 'invalid in the last' in status.message, status
            else:
                assert status.values[PUBLISHERS] == '0' and '0 publishers' in status.message

    def figures(self, phase: Phase, first: Moment, last: Moment) -> dict[str, object]:
        """Rates of a phase, in Hz; a healthy camera has its fair share."""
        seconds = last.seconds - first.seconds
        rates = {camera: {name: (count - first.counts[camera][name]) / seconds
                          for name, count in last.counts[camera].items()} for camera in CAMERAS}
        usable = {camera: rate[RECEIVED] - rate['invalid'] for camera, rate in rates.items()}
        published = {camera: rate['published'] for camera, rate in rates.items()}
        fair = fair_rates(usable, sum(published.values()))
        return {'phase': phase.name, 'seconds': round(seconds, 1),
                'cameras': {camera: {'received': round(rates[camera][RECEIVED], 2),
                                     'published': round(published[camera], 2),
                                     'fair': round(fair[camera], 2)} for camera in CAMERAS}}

    def close(self) -> int:
        """End everything -> exit code of the node."""
        for camera in self.cameras.values():
            self.end(camera)
        self.node.send_signal(signal.SIGINT)
        return self.node.wait(PATIENCE_SECONDS)


def levels(statuses: Mapping[str, Status]) -> dict[str, str]:
    """Statuses by task -> level of those about frames and input."""
    return {task: statuses[task].level for task in TASKS if task in statuses}


def fair_rates(wanted: Mapping[str, float], capacity: float) -> dict[str, float]:
    """Share a capacity: who wants less than an equal share gets it all, the rest is shared."""
    rates: dict[str, float] = {}
    for camera in sorted(wanted, key=lambda each: wanted[each]):
        share = (capacity - sum(rates.values())) / (len(wanted) - len(rates))
        rates[camera] = min(wanted[camera], share)
    return rates


def unfair(phases: list[dict]) -> list[str]:
    """Return the healthy cameras that had another rate than their fair one, phase by phase."""
    odd = {'flood': ('rear',), 'broken': ('rear', 'left'), 'stop': ('rear', 'left', 'front')}
    return [f"{phase['phase']}: {camera} {each['published']} Hz, fair {each['fair']} Hz"
            for phase in phases for camera, each in phase['cameras'].items()
            if camera not in odd.get(phase['phase'], ())
            and abs(each['published'] - each['fair']) > FAIR * each['fair']]


def soak(frames: int, command: list[str]) -> dict[str, object]:
    """Run all phases -> figures."""
    with open_ros(), Probe('soak', 'nobody/image') as probe:
        run = Soak(probe, command)
        try:
            phases = [run.run(phase, round(frames * phase.share)) for phase in PHASES]
        finally:
            code = run.close()
    warm = [each for each in run.moments if each.received >= WARM_UP * run.moments[-1].received]
    resident = [each.resident / 2 ** 20 for each in warm]
    tenth = max(1, len(warm) // 10)
    growth = statistics.median(resident[-tenth:]) / statistics.median(resident[:tenth]) - 1
    last = run.moments[-1]
    return {'frames': last.received, 'seconds': round(last.seconds - run.moments[0].seconds),
            'exit_code': code, 'phases': phases, 'unfair': unfair(phases),
            'counts': last.counts, 'resident_mib': [round(min(resident)), round(max(resident))],
            'growth': round(growth, 4), 'threads': [warm[0].threads, last.threads],
            'descriptors': [warm[0].descriptors, last.descriptors]}


def faults(figures: Mapping) -> list[str]:
    """Return what is not as it should be."""
    found = [f'unfair: {each}' for each in figures['unfair']]
    if figures['exit_code']:
        found.append(f"the node ended with code {figures['exit_code']}")
    if abs(figures['growth']) > FLAT:
        found.append(f"memory grew by {figures['growth']:.1%}")
    return found + [f'{name} changed from {before} to {after}'
                    for name in ('threads', 'descriptors')
                    for before, after in [figures[name]] if after > before]


def main() -> int:
    """Run the soak test and print its figures -> exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=int, default=20_000)
    parser.add_argument('--model', default='demo')
    parser.add_argument('--toy', action='store_true', help='a model that costs nothing')
    parser.add_argument('--domain', type=int, default=93)
    arguments = parser.parse_args()
    os.environ.update({**private_settings(arguments.domain), **large_image_settings()})
    what = [str(HERE / 'node_process.py')] if arguments.toy else \
        ['-m', 'sparse_seg_ros.ros.run_node', '--ros-args', '-p', f'model:={arguments.model}']
    figures = soak(arguments.frames, [sys.executable, *what])
    print(json.dumps(figures, indent=2))
    found = faults(figures)
    print('\n'.join(found) or 'nothing is wrong')
    return bool(found)


if __name__ == '__main__':
    sys.exit(main())
