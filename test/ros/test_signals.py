# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A few random moments of random_signals.py, and what that script calls a fault."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from random_signals import STAGES, choose_moments, find_faults, run

SECONDS = 15.0  # 2 on a quiet computer
END = '[INFO]: final counters: camera: 3 received, 1 waiting, 2 published, 0 superseded, ' \
    '0 stale, 0 invalid, 0 failed, 0 abandoned, 0 limited\n'


def test_a_process_ends_well_at_a_random_moment_of_its_transitions_and_its_build(domain,
                                                                                 monkeypatch):
    monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
    moments = [each for each in choose_moments(3, seed=13) if each.stage != 'toy']
    assert run(moments, domain, SECONDS) == []


def test_moments_are_the_same_for_a_seed_and_of_all_stages():
    assert choose_moments(10, 1) == choose_moments(10, 1) != choose_moments(10, 2)
    assert {moment.stage for moment in choose_moments(5, 1)} == set(STAGES)


@pytest.mark.parametrize('spent, code, log, fault', [
    (9.0, 0, END, 'took 9.00 s'), (0.1, -2, END, 'code -2'), (0.1, 0, 'Traceback', 'a traceback'),
    (0.1, 0, 'loading model', 'no final counters'),
    (0.1, 0, END.replace('3 received', '4 received'), 'the equation does not hold')])
def test_a_bad_end_is_a_fault(spent, code, log, fault):
    assert any(each.startswith(fault) for each in find_faults(spent, code, log, 2.0))
    assert find_faults(0.1, 0, END, 2.0) == []
