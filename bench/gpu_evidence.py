# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Everything that only a GPU can show, in one go: `make gpu-evidence`, at most MINUTES=8 of it.

The steps stand in the order of their worth. What each prints is kept in runs/gpu_evidence, and
shown when it has ended. A step that has succeeded on this GPU at this commit is not repeated, so a
run that was cut short goes on where it stopped. The figures go into
bench/results/gpu_evidence.json, from which `make figures` draws tables into doc/measured.md. On a
Jetson, tegrastats records power and clocks; they are never changed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / 'bench/results/gpu_evidence.json'
FOLDER = ROOT / 'runs/gpu_evidence'
SEG = (sys.executable, '-m', 'sparse_seg_ros')
MODELS = ('half=config/dense.yaml', 'refined=demo', 'full=demo_full')
CUDA = ('--device', 'cuda')
LEAST_SECONDS = 5.0  # left, or no other step begins
ENDING_SECONDS = 5.0  # that a step has to end what it has started


@dataclass(frozen=True)
class Step:
    """A command; writes_json: it takes --json FILE for its figures."""

    command: tuple[str, ...]
    writes_json: bool = True


def refined(precision: str, batch: int, repeats: int = 10) -> Step:
    """Return the step of the paper's five networks: a cell of its Tables A2 and A3."""
    return Step((*SEG, 'bench', 'refined', *CUDA, '--precision', precision, '--batch', str(batch),
                 '--repeats', str(repeats)))


STEPS = {
    'tests': Step((sys.executable, '-m', 'pytest', '-q', '-m', 'gpu'), writes_json=False),
    'model': Step((*SEG, 'bench', 'model', '--model', *MODELS, *CUDA, '--precision', 'fp16',
                   '--repeats', '30')),
    'graph': Step((*SEG, 'bench', 'model', '--model', 'eager=bench/eager.yaml',
                   'graph=bench/graph.yaml', *CUDA, '--precision', 'fp16', '--repeats', '30')),
    'sparse': Step((*SEG, 'bench', 'sparse', *CUDA)),
    'accuracy': Step((*SEG, 'evaluate', '--model', *MODELS, '--street', '20', *CUDA)),
    'networks fp16, 1': refined('fp16', 1),
    'networks fp16, 4': refined('fp16', 4),
    'node': Step((*SEG, 'demo', '--street', '60', '--size', '1024x2048', *CUDA, '--out',
                  str(FOLDER / 'demo'))),
    'networks fp32, 1': refined('fp32', 1),
    'networks fp32, 4': refined('fp32', 4),
    'networks fp16, 2': refined('fp16', 2),
    'networks fp16, 8': refined('fp16', 8, 5),
}


def origin(content: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the GPU that figures belong to, and their commit without a '+' for changes."""
    return content.get('device'), (content.get('commit') or '').removesuffix('+')


class Evidence:
    """
    What is known so far, in a file; of another GPU or commit, nothing.

    Changes of the checkout do not count: the file itself is one, and the tables drawn from it.
    """

    def __init__(self, path: Path, machine: Mapping[str, Any]):
        self.path, self.machine, self.steps = path, dict(machine), {}
        known = json.loads(path.read_text()) if path.is_file() else {}
        if origin(known) == origin(machine):
            self.steps = known.get('steps', {})

    def has(self, name: str) -> bool:
        """Tell whether a step has succeeded."""
        return self.steps.get(name, {}).get('exit_code') == 0

    def add(self, name: str, seen: Mapping[str, Any]) -> None:
        """Keep the record of a step, at once."""
        from sparse_seg_ros.machine import write_json

        self.steps[name] = dict(seen)
        weights = {}
        for step in self.steps.values():
            weights |= (step['figures'] or {}).get('weights', {})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {**self.machine, 'weights': weights, 'steps': self.steps})


def collect(steps: Mapping[str, Step], evidence: Evidence, folder: Path, limit_seconds: float
            ) -> list[str]:
    """Run the steps that are missing until the time is over -> those that are missing still."""
    end = time.monotonic() + limit_seconds
    folder.mkdir(parents=True, exist_ok=True)
    for name, step in steps.items():
        left = end - time.monotonic()
        if not evidence.has(name) and left > LEAST_SECONDS:
            print(f'== {name}, {left:.0f} s left: {" ".join(step.command)}', flush=True)
            evidence.add(name, run(name, step, folder, left))
    return [name for name in steps if not evidence.has(name)]


def run(name: str, step: Step, folder: Path, limit_seconds: float) -> dict[str, Any]:
    """Run one step, its output shown and kept -> its record; exit code 124 where time ended it."""
    stem = name.replace(' ', '_').replace(',', '')
    figures, log = folder / f'{stem}.json', folder / f'{stem}.log'
    figures.unlink(missing_ok=True)
    command = [*step.command, *(['--json', str(figures)] if step.writes_json else [])]
    started = time.monotonic()
    with open(log, 'w+b') as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            code = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            code = 124
        finally:
            end(process)
    print(log.read_text(errors='replace'), flush=True)
    return {'command': ' '.join(step.command[1:]), 'exit_code': code,
            'seconds': round(time.monotonic() - started, 1),
            'figures': json.loads(figures.read_text()) if figures.is_file() else None}


def end(process: subprocess.Popen) -> None:
    """End a process that may be over: by force if it does not within ENDING_SECONDS."""
    process.terminate()
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def recorded_power(folder: Path) -> Iterator[None]:
    """Let tegrastats write power and clocks once a second, where there is one."""
    tool = shutil.which('tegrastats')
    process = subprocess.Popen([tool, '--interval', '1000', '--logfile',
                                str(folder / 'tegrastats.log')]) if tool else None
    try:
        yield
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def main() -> int:
    """Run what is missing; 1 if anything is missing then, or without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=8.0, metavar='M',
                        help='time limit of the whole (default: %(default)s)')
    args = parser.parse_args()
    import torch

    from sparse_seg_ros.machine import machine
    if not torch.cuda.is_available():
        print('gpu_evidence: torch finds no CUDA device here; run it where `python -c "import '
              'torch; print(torch.cuda.is_available())"` prints True', file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with recorded_power(FOLDER):
        missing = collect(STEPS, Evidence(RESULT, machine()), FOLDER, 60 * args.minutes)
    if missing:
        print(f'missing: {", ".join(missing)}; the same command goes on with them')
    print(f'{RESULT.relative_to(ROOT)} is written; make figures draws it into doc/measured.md')
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
