# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is tried when a frame fails, in which order, for how long, and when that ends."""

from __future__ import annotations

import pytest
import torch

from sparse_seg_ros.methods.request import Limit
from sparse_seg_ros.stream import recovery
from sparse_seg_ros.stream.recovery import (
    AGAIN,
    ASKED,
    DENSE,
    FIRST_HOLD,
    LAST_GOOD,
    LEAST_SECONDS,
    LONGEST_HOLD,
    MOST_DEATHS,
    MOST_FAILED,
    Recovery,
)

KNOWN = {'alpha': Limit(1.0, 0.3), 'budget': Limit(1.0, 1.0)}


class Model:
    """Segments unless `breaks` says of the limits that it fails; keeps what it was called with."""

    def __init__(self, breaks=lambda limits: False):
        self.breaks, self.calls, self.error = breaks, [], RuntimeError('broken')

    def __call__(self, limits):
        self.calls.append(dict(limits))
        if self.breaks(limits):
            raise self.error
        return 'a prediction'


def refines(limits) -> bool:
    """Tell whether limits let the model refine."""
    return limits.get('budget') != 0


def test_a_frame_that_fails_once_is_tried_again_and_the_next_is_as_before():
    recover, model = Recovery(), Model()
    model.breaks = lambda limits: len(model.calls) == 1
    assert recover(model, {}, KNOWN) == ('a prediction', AGAIN)
    assert recover.state.recovered == 1 and recover.state.step == ASKED
    assert recover(model, {}, KNOWN) == ('a prediction', ASKED)
    assert model.calls == [{}] * 3


def test_where_only_refinement_fails_the_next_frames_are_dense_and_then_it_is_tried_again():
    recover, model = Recovery(), Model(refines)
    assert recover(model, {'alpha': 0.1}, KNOWN)[1] == DENSE
    assert model.calls == [{'alpha': 0.1}, {'alpha': 0.1}, {'alpha': 0.1, 'budget': 0.0}]
    assert [recover(model, {'alpha': 0.1}, KNOWN)[1] for _ in range(FIRST_HOLD)] == \
        [DENSE] * FIRST_HOLD
    assert not any(map(refines, model.calls[3:]))
    model.breaks = lambda limits: False
    assert recover(model, {'alpha': 0.1}, KNOWN)[1] == ASKED
    assert refines(model.calls[-1]) and recover.state.recovered == 1


def test_limits_that_change_are_those_of_the_next_frame_whatever_failed_before():
    recover, model = Recovery(), Model(lambda limits: limits.get('alpha') != 0.3)
    recover.note_published({'alpha': 0.3}, ASKED)
    assert recover(model, {'alpha': 0.0}, KNOWN)[1] == LAST_GOOD
    model.breaks = lambda limits: False
    assert recover(model, {'alpha': 0.2}, KNOWN)[1] == ASKED
    assert model.calls[-1] == {'alpha': 0.2} and not recover.frames_left('')


def test_frames_that_two_threads_segment_at_once_count_as_what_became_of_each():
    recover, model = Recovery(), Model(refines)

    def while_another_fails(limits):
        if not model.calls:
            recover(model, {}, KNOWN)
        return 'a prediction'
    assert recover(while_another_fails, {}, KNOWN)[1] == ASKED
    assert recover.state.recovered == 1 and recover.state.step == DENSE
    recover, model = Recovery(), Model(refines)

    def fail_while_another_fails(limits):
        if not model.calls:
            recover(model, {}, KNOWN)
        return Model(refines)(limits)
    assert recover(fail_while_another_fails, {}, KNOWN)[1] == DENSE
    assert recover.state.recovered == 2 and recover.ladders[''].hold == 2 * FIRST_HOLD


def test_a_camera_whose_frames_break_degrades_no_other():
    recover = Recovery()
    assert recover(Model(refines), {}, KNOWN, 'rear')[1] == DENSE
    assert recover(Model(), {}, KNOWN, 'front')[1] == ASKED
    assert recover(Model(), {}, KNOWN, 'rear')[1] == DENSE
    state = recover.state
    assert (state.step, state.camera, state.frames_left) == (DENSE, 'rear', FIRST_HOLD - 1)


def test_each_return_that_fails_doubles_the_time_without_refinement_up_to_a_limit():
    recover, model, held = Recovery(), Model(refines), []
    for _ in range(8):
        recover(model, {}, KNOWN)
        held.append(recover.state.frames_left)
        for _ in range(held[-1]):
            recover(model, {}, KNOWN)
    assert held == [5, 10, 20, 40, 80, 160, 160, 160]
    assert held[0] == FIRST_HOLD and held[-1] == LONGEST_HOLD


def test_after_many_good_frames_the_next_fault_costs_as_little_as_the_first():
    recover, model = Recovery(), Model(refines)
    for _ in range(2 * FIRST_HOLD + 3):
        recover(model, {}, KNOWN)
    assert recover.ladders[''].hold > FIRST_HOLD
    model.breaks = lambda limits: False
    for _ in range(LONGEST_HOLD + recover.ladders[''].hold):
        recover(model, {}, KNOWN)
    assert recover.ladders[''].hold == FIRST_HOLD


def test_where_the_dense_stage_fails_too_the_last_good_limits_are_tried():
    recover, model = Recovery(), Model(lambda limits: limits.get('alpha') != 0.3)
    good = {'alpha': 0.3, 'budget': 0.5}
    recover.note_published(good, ASKED)
    recover.note_published({'budget': 0.0}, DENSE)  # was not asked for
    assert recover(model, {'alpha': 0.0}, KNOWN)[1] == LAST_GOOD
    assert model.calls[1:] == [{'alpha': 0.0}, {'alpha': 0.0, 'budget': 0.0}, good]
    assert recover(model, {'alpha': 0.0}, KNOWN)[1] == LAST_GOOD
    assert model.calls[4:] == [good]


def test_a_model_without_refinement_is_only_tried_again():
    recover, model = Recovery(), Model(lambda limits: True)
    recover.note_published({}, ASKED)
    with pytest.raises(RuntimeError, match='broken'):
        recover(model, {}, {})
    assert model.calls == [{}, {}]


def test_a_frame_that_nothing_helps_does_not_degrade_the_next():
    recover, model = Recovery(), Model(lambda limits: True)
    with pytest.raises(RuntimeError):
        recover(model, {}, KNOWN)
    assert recover.state.in_a_row == 1 and not recover.why_stopped
    model.breaks = lambda limits: False
    assert recover(model, {}, KNOWN)[1] == ASKED
    assert recover.state.in_a_row == 0 and recover.state.error == 'RuntimeError: broken'


def fail(recover: Recovery, moments) -> None:
    for now in moments:
        with pytest.raises(RuntimeError):
            recover(Model(lambda limits: True), {}, KNOWN, now=now)


def test_many_failed_frames_in_a_row_over_some_seconds_end_it_with_the_reason():
    recover = Recovery()
    fail(recover, [LEAST_SECONDS * index / MOST_FAILED for index in range(MOST_FAILED)])
    assert not recover.why_stopped  # too soon
    fail(recover, [LEAST_SECONDS])
    assert recover.why_stopped.startswith('the model failed on 11 frames in a row, whatever was '
                                          'tried, at last with RuntimeError: broken; mend')
    recover.restart()
    assert not recover.why_stopped
    fail(recover, [100.0])
    assert not recover.why_stopped


def test_one_good_frame_breaks_the_row():
    recover = Recovery()
    fail(recover, [0.0] * (MOST_FAILED - 1))
    recover(Model(), {}, KNOWN)
    fail(recover, [100.0])
    assert not recover.why_stopped


def test_few_failed_frames_end_nothing_however_long_they_take():
    recover = Recovery()
    fail(recover, [0.0, 1000.0])
    assert not recover.why_stopped


@pytest.mark.parametrize('error', [
    MemoryError(), torch.OutOfMemoryError('CUDA out of memory'),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")], ids=str)
def test_memory_is_given_back_before_the_next_try(monkeypatch, error):
    freed, recover, model = [], Recovery(), Model(refines)
    model.error = error
    monkeypatch.setattr(recovery, 'free_memory', lambda: freed.append(len(model.calls)))
    assert recover(model, {}, KNOWN)[1] == DENSE
    assert freed == [1, 2]


def test_other_errors_leave_the_memory_as_it_is(monkeypatch):
    monkeypatch.setattr(recovery, 'free_memory', lambda: pytest.fail('memory was given back'))
    assert Recovery()(Model(refines), {}, KNOWN)[1] == DENSE


def test_a_thread_may_end_a_few_times_a_minute():
    recover = Recovery()
    assert all(recover.note_death('SystemExit', 30.0 * index) for index in range(10))
    assert not Recovery(deaths=[0.0] * MOST_DEATHS).note_death('SystemExit: 3', 1.0)
    recover = Recovery()
    assert [recover.note_death('SystemExit: 3', 0.0) for _ in range(4)] == [True] * 3 + [False]
    assert recover.why_stopped == (
        'the thread that segments ended 4 times in 60 s, at last by SystemExit: 3; mend the '
        'cause, then activate the node')
