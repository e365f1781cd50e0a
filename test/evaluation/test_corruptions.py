# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images are made worse step by step, in the same way every time, and labels stay."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.street import street_frames
from sparse_seg_ros.evaluation.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    CorruptedFrames,
    read_corruptions,
)

SCENE = next(iter(street_frames(1, 1, (120, 240))))
IMAGE, LABEL = np.asarray(SCENE[0]), SCENE[1]


def corrupted(name: str, severity: int) -> np.ndarray:
    frames = [Frame('scene', lambda: IMAGE, lambda: LABEL)]
    frame, = CorruptedFrames(frames, name, severity)
    assert frame.label() is LABEL
    return frame.image()


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_a_higher_severity_is_further_from_the_image_and_the_same_every_time(name):
    images = [corrupted(name, severity) for severity in SEVERITIES]
    assert all(image.shape == IMAGE.shape and image.dtype == np.uint8 for image in images)
    away = [np.abs(image.astype(float) - IMAGE).mean() for image in images]
    assert 0.5 < away[0] and all(low <= high for low, high in zip(away, away[1:])), away
    assert away[-1] > 1.2 * away[0]
    assert (corrupted(name, 5) == images[4]).all()


def test_names_and_severities_are_read():
    assert read_corruptions('fog:2,dark:4-5') == [('fog', 2), ('dark', 4), ('dark', 5)]
    assert read_corruptions('jpeg') == [('jpeg', severity) for severity in SEVERITIES]


@pytest.mark.parametrize(('text', 'words'), [
    ('fogg:1', "unknown corruption 'fogg'.*did you mean 'fog'"), ('fog:0', 'severities from 1'),
    ('', 'unknown corruption'), ('fog:5-2', 'from the lower to the higher')])
def test_what_is_no_corruption_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        read_corruptions(text)
