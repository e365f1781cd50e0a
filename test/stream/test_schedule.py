# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How old an image is, and why nobody can tell."""

from __future__ import annotations

import pytest

from sparse_seg_ros.stream.schedule import Age, find_age, why_stale

SECOND = 10 ** 9
NOW = 1_700_000_000 * SECOND


def test_a_stamp_a_little_ahead_is_of_this_moment():
    assert find_age(NOW, NOW - SECOND // 2, False) == Age(0.5, '')
    assert find_age(NOW, NOW + SECOND // 4, True).seconds == 0.0
    assert str(find_age(NOW, NOW - SECOND // 2, False)) == '0.5000'


UNKNOWN = {
    'zero': (NOW, 0, False, 'the stamp is zero; let the camera driver stamp its images'),
    'ahead': (NOW, NOW + 5 * SECOND, False, 'is 5.0 s ahead of the clock; synchronise the clocks'),
    'above an hour': (NOW, NOW - 3601 * SECOND, False,
                      'is 3601.0 s behind the clock; for a bag set use_sim_time to true and play '
                      'it with --clock, or set max_age_seconds to 0.0'),
    'of a bag': (NOW, NOW - 800 * 86400 * SECOND, False, 'is 800 days behind the clock'),
    'without simulated time': (0, NOW, True, 'no time arrives on /clock; play the bag with'),
    'at the loop of a bag': (NOW, NOW + 60 * SECOND, True, 'normal where a bag starts again'),
    'of another clock': (NOW, NOW - 86400 * SECOND, True, 'come from the same bag'),
}


@pytest.mark.parametrize('name', UNKNOWN)
def test_an_unknown_age_has_a_reason_with_its_cure_and_is_stale_unless_all_are_kept(name):
    *clocks, text = UNKNOWN[name]
    age = find_age(*clocks)
    assert age.seconds is None and text in age.why_unknown
    assert age.figure == 'n/a' and str(age) == f'n/a: {age.why_unknown}'
    assert why_stale(age, 10.0, clocks[-1]) == f'its age is unknown: {age.why_unknown}'
    assert why_stale(age, 0.0, clocks[-1]) == ''


def test_the_advice_never_asks_for_what_is_set():
    for stamp in (NOW + 60 * SECOND, NOW - 9 * SECOND, NOW - 86400 * SECOND):
        why = why_stale(find_age(NOW, stamp, True), 0.5, True)
        assert why and 'use_sim_time' not in why and '--clock' not in why


def test_an_old_image_is_stale_and_a_fresh_one_is_not():
    assert why_stale(Age(0.4, ''), 0.5, False) == ''
    why = why_stale(Age(0.6, ''), 0.5, False)
    assert why.startswith('0.60 s old, older than max_age_seconds 0.5; for a bag set use_sim_time')


def test_time_that_was_lost_in_the_node_is_not_blamed_on_the_link():
    why = why_stale(Age(3.2, ''), 0.5, False, own_seconds=3.0)
    assert 'it spent 3.00 s in this node: lower budget' in why and 'link' not in why
    assert 'slow link' in why_stale(Age(3.2, ''), 0.5, False, own_seconds=0.1)
