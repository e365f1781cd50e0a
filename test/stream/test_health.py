# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Health in words and numbers."""

from __future__ import annotations

import sys

import pytest

from sparse_seg_ros.messages.status import read_milliseconds
from sparse_seg_ros.stream import health
from sparse_seg_ros.stream.health import (
    engine_status,
    frames_status,
    input_status,
    memory_status,
    node_status,
    rate_hz,
    read_counters,
    timing_status,
)
from sparse_seg_ros.stream.recovery import DENSE, Recovered
from sparse_seg_ros.stream.slots import Counters
from sparse_seg_ros.stream.stage_times import StageTimes

CALM = {health.ERRORS: 0, health.LAST_ERROR: 'none', 'recent': 0}


def test_tasks_and_keys_of_the_diagnostics_keep_the_names_that_users_rely_on():
    times = StageTimes()
    times.add({'total': 1.0})
    statuses = [
        engine_status(health.LOADING, {}, ''), timing_status(times, 100.0), memory_status(),
        node_status([], CALM, ''),
        input_status('front', 0.1, '', {}),
        frames_status('front', Counters(), Counters(),
                      {health.LAST_AGE: '0', health.LAST_LOSS: 'none'})]
    assert {status.task: ' | '.join(status.values) for status in statuses} == {
        'engine': 'state',
        'timing': 'budget ms | running ms | total p50 ms | total p95 ms | total p99 ms | '
                  'consecutive overruns',
        'memory': 'peak MiB | resident MiB',
        'node': 'callback errors | last error | worker deaths | step | frames left on the step | '
                'recovered | last failure',
        'front input': '',
        'front frames': 'received | waiting | last age s | last loss | published | superseded | '
                        'stale | invalid | failed | abandoned | limited'}
    assert (health.TOPIC, health.IMAGE, health.RATE, health.PUBLISHERS, health.RELIABILITY) == (
        'topic', 'image', 'rate Hz', 'publishers', 'reliability')
    assert (health.FALLBACK, health.THREADS) == ('fallback', 'torch threads')


def test_a_silent_input_warns_then_errs_and_says_why():
    assert input_status('front', 0.1, 'why', {}).level == 'OK'
    warning = input_status('front', 3.4, '0 publishers on /image', {})
    assert (warning.level, warning.message) == (
        'WARN', 'no image for 3 s: 0 publishers on /image')
    assert input_status('front', 30, 'why', {}).level == 'ERROR'


def test_frames_warn_only_of_what_is_new():
    before = Counters(received=5, published=3, failed=2)
    same = frames_status('front', before, before, {})
    assert (same.level, same.message) == ('OK', '3 published')
    now = Counters(received=8, published=4, failed=3, stale=1)
    status = frames_status('front', now, before, {health.LAST_AGE: '0.010'})
    assert status.level == 'WARN'
    assert status.message == '1 stale, 1 failed in the last 5 s, see the log'
    assert read_counters(status) == {
        'received': 8, 'waiting': 0, 'published': 4, 'superseded': 0, 'stale': 1, 'invalid': 0,
        'failed': 3, 'abandoned': 0, 'limited': 0}
    assert status.values[health.LAST_AGE] == '0.010'


def test_the_input_of_a_node_that_is_not_active_is_no_news():
    status = input_status('front', 60.0, 'why', {}, idle='not active')
    assert (status.level, status.message) == ('OK', 'not active, so no images are taken')
    assert input_status('front', 0.1, 'why', {}, has_images=False).message == \
        'waiting for the first image'


def test_the_rate_of_a_silent_camera_is_zero():
    tenth = [number / 10 for number in range(30)]
    assert round(rate_hz(tenth, 3.0), 6) == 10.0
    assert rate_hz(tenth, 5.5) == 0.0
    slow = [0.0, 3.0, 6.0]
    assert round(rate_hz(slow, 8.5), 6) == round(1 / 3, 6)
    assert rate_hz(slow, 17.0) == rate_hz([], 1.0) == rate_hz([0.5], 1.0) == 0.0


def test_a_frame_that_waits_for_long_is_an_error():
    counts = Counters(received=5, published=3, superseded=1)
    assert frames_status('front', counts, counts, {}, stuck_seconds=9.0).level == 'OK'
    status = frames_status('front', counts, counts, {}, stuck_seconds=11.0)
    assert (status.level, status.message) == (
        'ERROR', '1 waiting, and nothing has become of any frame for 11 s: the model hangs; '
                 'clean up and configure the node')
    idle = Counters(received=3, published=3)
    assert frames_status('front', idle, idle, {}, stuck_seconds=11.0).level == 'OK'


def test_frames_of_which_none_can_be_segmented_are_an_error():
    counts = Counters(received=12, published=2, failed=10, in_a_row=10)
    assert frames_status('front', counts, Counters(), {}).level == 'ERROR'
    assert frames_status('front', counts, counts, {}).level == 'OK'  # no recent ones


def test_timing_has_percentiles_and_counts_overruns_in_a_row():
    times = StageTimes()
    assert timing_status(times, 100.0).message == 'no frames yet'
    for total in (10.0, 200.0, 20.0, 300.0, 400.0):
        times.add({'dense': total / 2, 'total': total}, budget_milliseconds=100.0)
    status = timing_status(times, 100.0)
    assert status.level == 'WARN' and status.message.startswith('2 frames in a row took longer')
    assert read_milliseconds(status)['total p50'] == 200.0
    assert read_milliseconds(status)['dense p50'] == 100.0
    for _ in range(10):
        times.add({'total': 200.0}, budget_milliseconds=100.0)
    assert timing_status(times, 100.0).level == 'ERROR'
    times.add({'total': 1.0}, budget_milliseconds=100.0)
    status = timing_status(times, 100.0)  # although most of the frames before were late
    assert (status.level, status.message) == ('OK', 'the last frame took 1 of 100 ms')


def test_the_frame_being_segmented_counts_as_an_overrun():
    times = StageTimes()
    times.add({'total': 10.0}, budget_milliseconds=100.0)
    assert timing_status(times, 100.0, running_seconds=0.05).level == 'OK'
    status = timing_status(times, 100.0, running_seconds=0.2)
    assert (status.level, status.values[health.OVERRUNS]) == ('WARN', 1)
    status = timing_status(times, 100.0, running_seconds=12.0, silent_seconds=12.0)
    assert (status.level, status.message) == ('ERROR', 'a frame has been running for 12 s')


def test_timing_of_long_ago_is_no_news():
    times = StageTimes()
    for _ in range(10):
        times.add({'total': 200.0}, budget_milliseconds=100.0)
    status = timing_status(times, 100.0, silent_seconds=6.0)
    assert (status.level, status.message) == ('OK', 'no recent frames')
    assert 'total p95' not in read_milliseconds(status)


def test_the_node_names_all_of_its_problems():
    assert node_status([], CALM, '').level == 'OK'
    status = node_status(['SystemExit'] * 2,
                         {**CALM, 'recent': 1, health.LAST_ERROR: 'KeyError: 77'},
                         '2 nodes are called /segmentation',
                         Recovered(DENSE, 5, 'rear', 1, error='MemoryError'))
    assert status.level == 'WARN'
    for text in ('ended 2 times, and was started again (SystemExit)', 'KeyError: 77',
                 '2 nodes are called', "5 frames of rear are segmented by 'dense only', since"):
        assert text in status.message
    assert (status.values[health.STEP], status.values[health.RECOVERED]) == (DENSE, 1)


@pytest.mark.parametrize('dead, why_stopped, level, words', [
    (0, '', 'WARN', 'was started again'),
    (1, '', 'WARN', 'is about to be started again'),
    (1, 'it ended 4 times', 'ERROR', 'stays ended until the node is activated again'),
    (0, 'the model failed on 30 frames in a row', 'WARN', 'was started again')])
def test_a_thread_that_ended_is_said_to_run_again_only_where_it_does(
        dead, why_stopped, level, words):
    status = node_status(['SystemExit'], CALM, '', dead=dead, why_stopped=why_stopped)
    assert (status.level, status.message) == (
        level, f'the thread that segments ended and {words} (SystemExit)')


def test_the_engine_names_its_error():
    assert engine_status(health.ACTIVE, {'device': 'cpu'}, '').values == {
        health.STATE: health.ACTIVE, 'device': 'cpu'}
    status = engine_status(health.UNCONFIGURED, {}, 'configure failed: no file x')
    assert (status.level, status.message) == ('ERROR', 'configure failed: no file x')


def test_an_engine_that_torch_stands_in_for_is_a_warning():
    description = {'engine': 'torch 2.13', health.FALLBACK: 'engine tensorrt: self-check failed'}
    status = engine_status(health.ACTIVE, description, '')
    assert (status.level, status.message) == (
        'WARN', 'active, on torch: engine tensorrt: self-check failed')
    assert status.values == {health.STATE: health.ACTIVE, **description}


def test_memory_leaves_torch_alone_while_it_may_be_half_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', object())
    assert health.PEAK in memory_status().values


def test_memory_is_in_mebibytes():
    values = memory_status().values
    assert 10 < values[health.RESIDENT] <= values[health.PEAK] * 1.1
