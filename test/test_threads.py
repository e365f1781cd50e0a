# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Threads of torch beside other processes, with scripted loads and the real system's."""

from __future__ import annotations

import os

import pytest
import torch

from sparse_seg_ros import threads
from sparse_seg_ros.threads import Threads, Usage, busy_ticks, read_usage

STAT = """cpu  100 20 30 900 5 3 2 0 0 0
cpu0 60 10 20 400 2 2 1 0 0 0
cpu1 40 10 10 500 3 1 1 0 0 0
intr 12345
"""


@pytest.fixture(autouse=True)
def leave_torch_as_it_was():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def counts(cores: int, others: list[float], own: float = 1.0) -> list[int]:
    """Cores, cores that others use in every period -> threads chosen after each."""
    usages = [Usage(0.0, 0.0, 0.0)]
    for used in others:
        last = usages[-1]
        usages.append(Usage(last.wall + 1, last.everyone + used + own, last.own + own))
    share = Threads(cores, iter(usages).__next__)
    return [share.look() for _ in others]


def test_a_worker_that_looks_while_another_does_divides_by_no_time():
    now = Usage(1.0, 1.0, 1.0)

    class Shared(Threads):
        times = [Usage(0.0, 0.0, 0.0)] * 2  # until another worker has looked

        @property
        def before(self):
            return self.times.pop(0) if self.times else now

        @before.setter
        def before(self, usage):
            """Leave it to the other worker."""
    assert Shared(2, lambda: now, workers=2).look() == 2


def test_busy_time_is_that_of_our_own_cores_and_not_of_nice_processes():
    assert busy_ticks(STAT, {0, 1}, counts_nice=False) == 100 + 30 + 3 + 2
    assert busy_ticks(STAT, {1}, counts_nice=False) == 40 + 10 + 1 + 1
    assert busy_ticks(STAT, {1}, counts_nice=True) == 40 + 10 + 1 + 1 + 10


def test_a_busy_process_gets_its_core_and_gives_it_back():
    assert counts(2, [0, 0.1, 0.7, 1, 1, 0.1, 0]) == [2, 2, 1, 1, 1, 2, 2]
    assert counts(8, [0, 1, 2.9, 0]) == [8, 7, 5, 8]


def test_a_load_between_two_counts_does_not_make_them_alternate():
    assert counts(2, [0.4, 0.6, 0.4, 0.6, 0.4]) == [2, 1, 1, 1, 1]


def test_there_is_always_a_thread_and_never_more_than_cores():
    assert counts(2, [5, 2, 2]) == [1, 1, 1]
    assert counts(2, [-0.5, 0]) == [2, 2]  # clocks are read one after the other


def test_a_fixed_number_is_set_whatever_the_load():
    share = Threads(2, lambda: Usage(0, 0, 0))
    assert share.share(fixed=3) == torch.get_num_threads() == 3
    assert share.share() == torch.get_num_threads() == 2


def test_workers_share_the_free_cores():
    share = Threads(8, lambda: Usage(0, 0, 0), workers=3)
    assert share.share() == torch.get_num_threads() == 2
    assert Threads(2, lambda: Usage(0, 0, 0), workers=3).share() == 1
    assert share.share(fixed=4) == 4


def test_where_the_system_does_not_say_all_cores_are_used(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, 'STAT', tmp_path / 'none')
    assert read_usage() is None and Threads(4).look() == 4


@pytest.mark.parametrize('quota, cores', [('max 100000', 8), ('150000 100000', 2),
                                          ('10000 100000', 1), ('9900000 100000', 8)])
def test_the_quota_of_a_container_counts(quota, cores, monkeypatch, tmp_path):
    monkeypatch.setattr(threads, 'QUOTA', tmp_path / 'cpu.max')
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(8)))
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    (tmp_path / 'cpu.max').write_text(quota)
    assert threads.count_cores() == cores
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    assert threads.count_cores() == 1


def test_own_work_on_all_threads_is_not_taken_for_that_of_others():
    before = read_usage()
    while read_usage().own - before.own < 0.2:
        torch.ones(200, 200) @ torch.ones(200, 200)
    after = read_usage()
    assert after.everyone - before.everyone >= 0.5 * (after.own - before.own)
