# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Ends the process of the node at random moments: python test/ros/random_signals.py --moments 100.

At whatever it is then (imports, a model that loads, an engine that is built, the warm-up, frames,
transitions), by SIGINT or SIGTERM, once or again at once. Each time it has to end in time with
code 0, and to log the final counters if there was a node.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sparse_seg_ros.stream.slots import OUTCOMES

SCRIPT = Path(__file__).with_name('node_process.py')
STAGES = {  # arguments, and seconds in which a moment is chosen: until it runs, and some more
    'toy': ([str(SCRIPT)], 6.0),
    'transitions': ([str(SCRIPT), '--hang', 'nowhere'], 6.0),
    'engine': ([str(SCRIPT), '--hang', 'build'], 14.0),
    'demo model': (['-m', 'sparse_seg_ros.ros.run_node', '--ros-args', '-p', 'device:=cpu'], 9.0),
    'hung frame': ([str(SCRIPT), '--hang', 'frame'], 6.0)}
GAPS_SECONDS = ((), (0.0,), (0.3,), (0.0, 0.1, 0.5))  # between the first signal and others
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Moment:
    """When which signals are sent to a process that does what."""

    stage: str
    delay_seconds: float
    number: signal.Signals
    gaps_seconds: tuple[float, ...]


def choose_moments(count: int, seed: int) -> list[Moment]:
    """Return as many moments, the stages in turn."""
    choice = random.Random(seed)
    stages = list(STAGES)
    return [Moment(stage, choice.uniform(0.0, STAGES[stage][1]),
                   choice.choice((signal.SIGINT, signal.SIGTERM)), choice.choice(GAPS_SECONDS))
            for stage in (stages[place % len(stages)] for place in range(count))]


def hears_signals(process: subprocess.Popen) -> bool:
    """Tell whether the process handles SIGTERM: before, Python itself has hardly begun."""
    text = Path(f'/proc/{process.pid}/status').read_text()
    caught = int(text.partition('SigCgt:')[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def end_at(moment: Moment, domain: int) -> tuple[float, int, str]:
    """Start a process and end it at a moment -> seconds that took, exit code, log."""
    process = subprocess.Popen(
        [sys.executable, *STAGES[moment.stage][0]], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, env={**os.environ, 'ROS_DOMAIN_ID': str(domain)})
    log = []
    reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
    reader.start()
    end = time.monotonic() + PATIENCE_SECONDS
    while not hears_signals(process) and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(moment.delay_seconds)
    begin = time.monotonic()
    process.send_signal(moment.number)
    for gap in moment.gaps_seconds:
        time.sleep(gap)
        process.send_signal(moment.number)
    try:
        code = process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    spent = time.monotonic() - begin
    reader.join(PATIENCE_SECONDS)
    return spent, code, ''.join(log)


def find_faults(spent: float, code: int, log: str, limit_seconds: float) -> list[str]:
    """Return what was wrong with an end, in words."""
    faults = [f'took {spent:.2f} s'] * (spent > limit_seconds) + [f'code {code}'] * (code != 0)
    faults += ['a traceback'] * ('Traceback' in log or 'exception' in log)
    line = re.search(r'final counters: camera: (.*)', log)
    if line is None:
        return faults + ['no final counters'] * ('loading model' in log)
    counts = {name: int(number) for number, name in
              (part.split() for part in line[1].removesuffix('\x1b[0m').split(', '))}
    is_exact = counts['received'] == counts['waiting'] + sum(counts[name] for name in OUTCOMES)
    return faults + [f'the equation does not hold: {counts}'] * (not is_exact)


class Camera(threading.Thread):
    """Publishes small images in a domain all the time."""

    def __init__(self, domain: int):
        super().__init__(daemon=True)
        self.domain, self.stopping = domain, threading.Event()

    def run(self) -> None:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
        from ros_images import image
        from sensor_msgs.msg import Image

        context = rclpy.Context()
        rclpy.init(context=context, domain_id=self.domain,
                   signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node('camera', context=context)
        publisher = node.create_publisher(Image, 'image', 1)
        while not self.stopping.wait(1 / 30):
            publisher.publish(image())
        node.destroy_node()
        rclpy.shutdown(context=context)


def run(moments: list[Moment], domain: int, limit_seconds: float) -> list[str]:
    """End a process at each moment, under images -> all faults, in words."""
    camera, found, longest = Camera(domain), [], 0.0
    camera.start()
    for place, moment in enumerate(moments):
        spent, code, log = end_at(moment, domain)
        longest = max(longest, spent)
        faults = find_faults(spent, code, log, limit_seconds)
        found += [f'{moment}: {", ".join(faults)}\n{log}'] * bool(faults)
        print(f'{place + 1}/{len(moments)} {moment.stage} after {moment.delay_seconds:.2f} s, '
              f'{moment.number.name} x{1 + len(moment.gaps_seconds)}: {spent:.2f} s, code {code}'
              f'{"".join(", " + fault for fault in faults)}', flush=True)
    camera.stopping.set()
    camera.join()
    print(f'longest {longest:.2f} s, {len(found)} of {len(moments)} wrong')
    return found


def main() -> int:
    """Run from the command line -> exit code."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('--moments', type=int, default=100)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--limit', type=float, default=2.0, help='seconds')
    parser.add_argument('--domain', type=int, default=90)
    arguments = parser.parse_args()
    os.environ |= {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_LOCALHOST_ONLY': '1'}
    found = run(choose_moments(arguments.moments, arguments.seed), arguments.domain,
                arguments.limit)
    print('\n'.join(found))
    return bool(found)


if __name__ == '__main__':
    sys.exit(main())
