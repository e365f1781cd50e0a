# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps that repeat or jump, and those that only look like it."""

from __future__ import annotations

import pytest

from sparse_seg_ros.stream.stamps import NEWS_SECONDS, Stamps

START = 1_700_000_000.0


def note(stamps: Stamps, seconds, arrivals) -> None:
    for stamp, arrived in zip(seconds, arrivals, strict=True):
        stamps.note(round((START + stamp) * 1e9), arrived)


TENTHS = [index / 10 for index in range(30)]


FIVES = [0.0, 5.0, 10.0, 15.0, 20.0]


@pytest.mark.parametrize(('stamps', 'arrivals'), [
    (TENTHS, TENTHS), ([10 * each for each in TENTHS], TENTHS), (FIVES, FIVES),
    ([0.0, 0.1, 0.2, 2.3, 2.4], [0.0, 0.1, 2.2, 2.3, 2.4]),
    (TENTHS, [each / 100 for each in TENTHS]),
], ids=['regular', 'fast replay', 'slow camera', 'one came late', 'in a burst'])
def test_regular_stamps_do_not_jump_whenever_they_arrive(stamps, arrivals):
    seen = Stamps()
    note(seen, stamps, arrivals)
    assert not seen.jumps and not seen.is_repeated()


@pytest.mark.parametrize('jump', [-0.5, -3600.0, 2.0, 3600.0])
def test_one_jump_is_told_for_some_seconds_and_what_follows_is_regular_again(jump):
    seen = Stamps()
    note(seen, TENTHS, TENTHS)
    assert not seen.has_jumped(3.0)
    note(seen, [3.0 + jump + each for each in TENTHS], [3.0 + each for each in TENTHS])
    assert seen.jumps == 1 and seen.has_jumped(3.0 + NEWS_SECONDS - 0.1)
    assert not seen.has_jumped(3.0 + NEWS_SECONDS)


def test_the_same_stamp_again_is_repeated_and_no_stamp_is_none():
    seen = Stamps()
    note(seen, [0.0, 0.0], [0.0, 0.1])
    assert seen.is_repeated() and not seen.jumps
    seen = Stamps()
    for arrived in (0.0, 0.1, 0.2):
        seen.note(0, arrived)
    assert not seen.is_repeated() and not seen.jumps
