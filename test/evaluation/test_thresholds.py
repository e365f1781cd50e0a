# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thresholds are kept, or named with the figure that does not keep them."""

from __future__ import annotations

import pytest

from sparse_seg_ros.evaluation.thresholds import failures, read_thresholds

SUMMARY = {'miou': 0.7, 'class': {'traffic light': {'iou': None}, 'road': {'iou': 0.9}},
           'latency': {'p99_ms': 120.0}, 'interval': {'miou': [0.6, 0.8]}}


def read(tmp_path, text):
    (tmp_path / 'thresholds.yaml').write_text(text)
    return read_thresholds(tmp_path / 'thresholds.yaml')


def test_kept_thresholds_say_nothing(tmp_path):
    thresholds = read(tmp_path, "miou: '>= 0.7'\nclass.road.iou: '> 0.8'\n"
                                "latency.p99_ms: '<= 120'\n")
    assert not failures(SUMMARY, thresholds)


def test_figures_that_do_not_keep_them_are_named(tmp_path):
    thresholds = read(tmp_path, "miou: '> 0.7'\nlatency.p99_ms: '< 100.5'\n"
                                "class.traffic light.iou: '>= 0.1'\n")
    assert failures(SUMMARY, thresholds) == [
        'miou must be > 0.7, got 0.7', 'latency.p99_ms must be < 100.5, got 120',
        'class.traffic light.iou must be >= 0.1, but nothing in these frames tells it']


def test_an_unknown_figure_is_an_error_and_not_a_pass(tmp_path):
    with pytest.raises(ValueError, match="no figure 'class.rode.iou' .* 'class.road.iou'"):
        failures(SUMMARY, read(tmp_path, "class.rode.iou: '> 0'\n"))


@pytest.mark.parametrize('text', ['', 'miou\n', 'miou: 0.6\n', "miou: '== 0.6'\n",
                                  "miou: '>= many'\n", "miou: '>= nan'\n"])
def test_what_is_no_bound_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match='thresholds.yaml: .*such as'):
        read(tmp_path, text)
