# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Health in words and numbers."""

from __future__ import annotations

from sparse_seg_ros.ros.newest import Counters
from sparse_seg_ros.ros.stage_times import StageTimes
from sparse_seg_ros.ros.statuses import (
    age_seconds,
    describe_age,
    engine_status,
    frames_status,
    input_status,
    memory_status,
    timing_status,
)


def test_a_silent_input_warns_then_errs_and_says_why():
    assert input_status('front', 0.1, 'why', {}).level == 'OK'
    warning = input_status('front', 3.4, '0 publishers on /image', {})
    assert (warning.level, warning.message) == (
        'WARN', 'no image for 3 s: 0 publishers on /image')
    assert input_status('front', 30, 'why', {}).level == 'ERROR'


def test_frames_warn_only_of_what_is_new():
    before = Counters(received=5, published=3, failed=2)
    same = frames_status('front', before, before, 'n/a')
    assert (same.level, same.message) == ('OK', '3 published')
    now = Counters(received=8, published=4, failed=3, stale=1)
    status = frames_status('front', now, before, '0.010')
    assert status.level == 'WARN'
    assert status.message == '1 stale, 1 failed since the last report, see the log'
    assert status.values['received'] == 8 and status.values['last age s'] == '0.010'


def test_timing_has_percentiles_and_counts_overruns_in_a_row():
    times = StageTimes()
    assert timing_status(times, 100.0).message == 'no frames yet'
    for total in (10.0, 200.0, 20.0, 300.0, 400.0):
        times.add({'dense': total / 2, 'total': total}, budget_milliseconds=100.0)
    status = timing_status(times, 100.0)
    assert status.level == 'WARN' and status.message.startswith('2 frames in a row took longer')
    assert status.values['total p50 ms'] == 200.0 and status.values['dense p50 ms'] == 100.0
    for _ in range(10):
        times.add({'total': 200.0}, budget_milliseconds=100.0)
    assert timing_status(times, 100.0).level == 'ERROR'
    times.add({'total': 1.0}, budget_milliseconds=100.0)
    assert timing_status(times, 100.0).level == 'OK'


def test_the_engine_names_its_error():
    assert engine_status('active', {'device': 'cpu'}, '').values['device'] == 'cpu'
    status = engine_status('unconfigured', {}, 'configure failed: no file x')
    assert (status.level, status.message) == ('ERROR', 'configure failed: no file x')


def test_an_engine_that_torch_stands_in_for_is_a_warning():
    description = {'engine': 'torch 2.13', 'fallback': 'engine tensorrt: self-check failed'}
    status = engine_status('active', description, '')
    assert (status.level, status.message) == (
        'WARN', 'active, on torch: engine tensorrt: self-check failed')
    assert status.values['fallback'] == description['fallback']


def test_memory_is_in_mebibytes():
    values = memory_status().values
    assert 10 < values['resident MiB'] <= values['peak MiB'] * 1.1


def test_age_is_never_negative_nor_nonsense():
    assert age_seconds(2_500_000_000, 2_000_000_000) == 0.5
    assert age_seconds(2_000_000_000, 2_500_000_000) is None
    assert age_seconds(1_700_000_000_000_000_000, 0) is None
    assert (describe_age(None), describe_age(0.5)) == ('n/a', '0.5000')
