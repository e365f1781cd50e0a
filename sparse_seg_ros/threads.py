# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The number of torch's threads, on cores that other processes use, too.

torch's threads wait for each other many times a frame, and spin while they wait. If another
process holds one of the cores, all of them spin until it lets go. On two cores a frame then takes
two to four times as long as with a single thread. So torch gets one thread for each core that
others leave free, counted again twice a second.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PERIOD_SECONDS = 0.5
FREE, FREE_AGAIN = 0.5, 0.75  # of a core: given up below the first, taken back above the second
STAT, QUOTA = Path('/proc/stat'), Path('/sys/fs/cgroup/cpu.max')


@dataclass(frozen=True)
class Usage:
    """Seconds since some start: of the clock, of all processes on our cores, of this process."""

    wall: float
    everyone: float
    own: float


def read_usage() -> Usage | None:
    """Return how much our cores have worked; None where the system does not say."""
    try:
        text = STAT.read_text()
    except OSError:
        return None
    times = os.times()
    ticks = busy_ticks(text, os.sched_getaffinity(0), counts_nice=os.nice(0) > 0)
    return Usage(time.monotonic(), ticks / os.sysconf('SC_CLK_TCK'), times.user + times.system)


def busy_ticks(stat: str, cores: set[int], counts_nice: bool) -> int:
    """
    Content of /proc/stat -> ticks that these cores have worked.

    Processes that are nice give way, so their ticks count only for one that is nice itself.
    """
    total = 0
    for line in stat.splitlines():
        name, *columns = line.split()
        if name.startswith('cpu') and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _, _, interrupts, soft_interrupts, *_ = map(int, columns)
            total += user + system + interrupts + soft_interrupts + nice * counts_nice
    return total


def count_cores() -> int:
    """Return the cores we may use: by affinity, OMP_NUM_THREADS and the quota of our group."""
    cores = len(os.sched_getaffinity(0))
    if os.environ.get('OMP_NUM_THREADS', '').isdigit():
        cores = max(1, min(cores, int(os.environ['OMP_NUM_THREADS'])))
    try:
        quota, period = QUOTA.read_text().split()
        return cores if quota == 'max' else max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no control group, or one of the first version
        return cores


class Threads:
    """
    Sets torch's threads before a frame: `threads.share()`; `used` says to how many.

    workers: threads of this process that share the cores, each with threads of torch of its own.
    """

    def __init__(self, cores: int | None = None,
                 read: Callable[[], Usage | None] = read_usage, workers: int = 1):
        self.cores, self.read, self.workers = cores or count_cores(), read, workers
        self.used = self.count = self.cores
        self.before = read()

    def share(self, fixed: int | None = None) -> int:
        """Set and return the number of threads: fixed, or as many cores as others leave free."""
        import torch  # seconds, and it is not the node's first word

        self.used = fixed or max(1, self.look() // self.workers)
        if self.used != torch.get_num_threads():
            torch.set_num_threads(self.used)
        return self.used

    def look(self) -> int:
        """Return the number of threads for the load now."""
        now, before = self.read(), self.before  # which another worker may set meanwhile
        if now is None or before is None or now.wall - before.wall < PERIOD_SECONDS:
            return self.count
        others = (now.everyone - before.everyone) - (now.own - before.own)
        free = self.cores - max(0.0, others) / (now.wall - before.wall)
        self.before = now
        fewer, more = math.floor(free + 1 - FREE), math.floor(free + 1 - FREE_AGAIN)
        self.count = min(self.cores, max(1, min(self.count, fewer), more))
        return self.count
