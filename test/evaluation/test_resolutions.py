# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One network at each resolution, side by side."""

from __future__ import annotations

from tiny import street_image, tiny_model

from sparse_seg_ros.evaluation.resolutions import compare, middle_times
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.methods.dense import DenseConfig


def dense(scale):
    return assemble(tiny_model(refines=False), DenseConfig('dense', scale=scale), 'cpu',
                    'fp32', {})


def test_every_frame_is_shown_at_every_resolution_with_its_time():
    segmenters = {'unrefined': dense(0.5), 'full': dense(1.0)}
    rows = compare(segmenters, [street_image(64, 96), street_image(64, 96, seed=1)])
    assert [[*row] for row in rows] == [['unrefined', 'full']] * 2
    for frame in (frame for row in rows for frame in row.values()):
        assert frame.overlay.shape == (64, 96, 3) and frame.milliseconds > 0
    assert [*middle_times(rows)] == ['half resolution', 'full resolution']


def test_a_resolution_is_named_by_its_scale():
    rows = compare({'unrefined': dense(0.25), 'full': dense(0.5)}, [street_image(64, 96)])
    assert [*middle_times(rows)] == ['0.25 of the resolution', 'half resolution']


def test_a_model_without_resolutions_is_not_compared():
    assert compare({}, [street_image()]) == [] and middle_times([]) == {}
