# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The next frame of one or several workers, for whoever wants it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.stream.snapshot import NextFrame

PATIENCE_SECONDS = 30.0


@pytest.fixture
def wanted():
    """Return a NextFrame while somebody waits for it."""
    kept = NextFrame()
    kept.is_wanted = True
    return kept


def test_a_frame_of_any_of_many_workers_is_kept_whatever_the_others_begin(wanted):
    workers = 16
    everyone = threading.Barrier(workers, timeout=PATIENCE_SECONDS)

    def serve(number: int) -> None:
        frame = Frame(f'camera {number}', lambda: None, message=object())
        wanted.began(frame.source, frame.message)
        everyone.wait()
        if number == 0:
            wanted.published(frame, {'total': 1.0}, {})
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(serve, range(workers)))
    assert not wanted.is_wanted
    shot = wanted.wait(0.0)
    assert shot is not None and shot.is_published and shot.camera == 'camera 0'


def test_where_no_frame_is_published_the_last_that_was_begun_is_kept_and_only_once(wanted):
    for number in range(100):
        wanted.began(f'camera {number}', object())
    assert len(wanted.shots) == 1  # what has failed needs no memory
    shot = wanted.wait(0.0)
    assert shot is not None and shot.camera == 'camera 99'
    assert wanted.wait(0.0) is None


def test_a_frame_that_begins_as_the_wait_ends_is_not_kept_for_the_next(wanted):
    beginning = threading.Thread(target=wanted.began, args=('front', object()))
    with wanted.changed:  # it has seen the wish, and comes in when that is over
        beginning.start()
        wanted.is_wanted = False
    beginning.join(PATIENCE_SECONDS)
    assert not wanted.shots
