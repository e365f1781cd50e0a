# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
`sparse_seg bench node`: what ROS costs, beside inference.

Two processes talk over real DDS: a camera, and the node with a method that takes a fixed time. It
measures images lost in transport, the time from publish to callback, and the time from callback to
publish less inference. Two more runs have a method that is slower than the camera: one shows
whether every frame is accounted for, the other how old a picture is when its mask is published.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.environment import large_image_settings, private_settings
from sparse_seg_ros.stream.health import RECEIVED
from sparse_seg_ros.stream.slots import OUTCOMES

LIMIT_SECONDS = 240.0
HEADING = ('image     reliability     rate  sent  lost  transport ms   overhead ms    publish ms '
           '(median / p99)')


@dataclass(frozen=True)
class Case:
    """One run: images of a size at a rate into a node whose method takes a fixed time."""

    height: int
    width: int
    reliability: str
    frames: int = 200
    rate_hz: float = 10.0
    method_milliseconds: float = 20.0
    with_profile: bool = True


@dataclass(frozen=True)
class FrameTimes:
    """What the node says of one frame: its age when the worker took it, milliseconds by stage."""

    age_seconds: float
    milliseconds: dict[str, float]

    @property
    def transport(self) -> float:
        """Milliseconds from publish to callback."""
        return self.age_seconds * 1e3 - self.milliseconds['wait']

    @property
    def age(self) -> float:
        """Milliseconds from the stamp of the image to the end of publishing."""
        return self.transport + self.milliseconds['total']

    @property
    def overhead(self) -> float:
        """Milliseconds from callback to publish, less inference."""
        return self.milliseconds['total'] - self.milliseconds['segment']


CASES = [Case(height, width, reliability) for height, width in ((540, 960), (1024, 2048))
         for reliability in ('best_effort', 'reliable')]
OVERLOAD = Case(240, 320, 'reliable', frames=1000, rate_hz=100.0, method_milliseconds=30.0)
SLOWER = Case(540, 960, 'reliable', frames=600, rate_hz=30.0, method_milliseconds=100.0)


def run(frames: int = 200, has_overload: bool = True) -> dict[str, Any]:
    """Measure all cases -> 'cases', 'overload' and 'slower'; times in milliseconds."""
    cases = [measure(replace(case, frames=frames)) for case in tqdm(CASES, 'cases', leave=False)]
    more = {'overload': measure(OVERLOAD), 'slower': measure(SLOWER)} if has_overload else {}
    return {'cases': cases, **more}


def describe(figures: dict[str, Any]) -> str:
    """Figures -> the table that the command prints."""
    cases = [*figures['cases'], *([figures['overload']] if 'overload' in figures else [])]
    lines = [HEADING, *map(describe_case, cases)]
    if 'slower' in figures:
        lines += [describe_case(figures['slower']), describe_age(figures['slower'])]
    return '\n'.join(lines)


def describe_case(case: dict[str, Any]) -> str:
    """Return a line, and where frames were dropped one more."""
    times = ''.join(f"{case[name]['median']:>8.1f} /{case[name]['p99']:>5.1f}"
                    for name in ('transport_ms', 'overhead_ms', 'publish_ms'))
    size = f"{case['height']}x{case['width']}"
    line = (f"{size:<10}{case['reliability']:<13}{case['rate_hz']:>4.0f} Hz"
            f"{case['sent']:>6}{case['lost_in_transport']:>6}{times}")
    if case['published'] == case['received']:
        return line
    counts = ' + '.join(f'{case[name]} {name}' for name in OUTCOMES)
    sign = '=' if case['is_accounted'] else 'IS NOT'
    return f"{line}\n{'':<10}{case['received']} received {sign} {counts}"


def describe_age(case: dict[str, Any]) -> str:
    """Return how old pictures are when their masks are published, against the slow method."""
    periods = case['age_ms']['p99'] / case['inference_ms']['median']
    return (f"{'':<10}age when published: median {case['age_ms']['median']:.0f} ms, p99 "
            f"{case['age_ms']['p99']:.0f} ms, {periods:.2f} times the inference")


def measure(case: Case, domain: int = 91) -> dict[str, Any]:
    """Run one case -> its settings and figures."""
    environment = {**os.environ, **private_settings(domain),
                   **(large_image_settings() if case.with_profile else {})}
    with TemporaryDirectory() as folder:
        result = Path(folder) / 'camera.json'
        node = start(environment, 'node', case)
        try:
            camera = start(environment, 'camera', case, result)
            if camera.wait(LIMIT_SECONDS) != 0:
                raise RuntimeError(f'the camera process of {case} failed')
        finally:
            node.terminate()
            exit_code = node.wait(30)
        record = json.loads(result.read_text())
    return {**asdict(case), **summarise(record), 'node_exit_code': exit_code}


def start(environment: dict[str, str], role: str, case: Case,
          result: Path = Path(os.devnull)) -> subprocess.Popen:
    """Start the process of a role, 'node' or 'camera'."""
    return subprocess.Popen(
        [sys.executable, '-m', 'sparse_seg_ros.bench.node_processes', role,
         json.dumps(asdict(case)), str(result)], env=environment)


def summarise(record: dict[str, Any]) -> dict[str, Any]:
    """Counters and times of every frame -> the figures of a case."""
    counts, frames = record['counters'], [FrameTimes(**each) for each in record['times']]
    accounted = sum(counts[name] for name in OUTCOMES)
    return {'sent': record['sent'], **counts,
            'lost_in_transport': record['sent'] - counts[RECEIVED],
            'is_accounted': accounted == counts[RECEIVED],
            'transport_ms': spread([frame.transport for frame in frames]),
            'overhead_ms': spread([frame.overhead for frame in frames]),
            'age_ms': spread([frame.age for frame in frames]),
            'inference_ms': spread([frame.milliseconds['segment'] for frame in frames]),
            'publish_ms': spread([frame.milliseconds['publish'] for frame in frames]),
            'wait_ms': spread([frame.milliseconds['wait'] for frame in frames])}


def spread(values: list[float]) -> dict[str, float]:
    """Return median, 95th and 99th percentile."""
    if not values:
        return {}
    return {name: round(float(np.percentile(values, rank)), 2)
            for name, rank in (('median', 50), ('p95', 95), ('p99', 99))}
