# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of whole models: their time, and what of a frame is refined at most."""

from __future__ import annotations

import pytest
from tiny import tiny_model

from sparse_seg_ros.config import MethodConfig
from sparse_seg_ros.evaluation import bench_model
from sparse_seg_ros.zoo import assemble


def test_it_tells_the_largest_density_and_how_even_refining_is(capsys):
    models = {
        'refined': assemble(tiny_model(), MethodConfig(alpha_nats=0.0, budget=0.1), 'cpu', 'fp32',
                            {}),
        'dense': assemble(tiny_model(refines=False), MethodConfig(method='dense'), 'cpu', 'fp32',
                          {})}
    rows = bench_model.run(models, (128, 192), repeats=3)['rows']
    assert 0.09 < rows['refined']['density'] <= rows['refined']['density_most'] <= 0.1
    assert rows['refined']['refining_p99_to_p50'] >= 1
    assert rows['dense']['density_most'] == 0 and rows['dense']['ratio'] == 1
    assert 'at most' in capsys.readouterr().out


def test_p99_is_of_the_stages_that_refine():
    times = [{'dense': 100.0 * index, 'select': 1.0, 'extract': 1.0, 'total': 1.0}
             for index in range(100)]
    times[-1]['extract'] = 9.0
    row = bench_model.describe([(0.1, time) for time in times])
    assert row['refining_p99_to_p50'] == pytest.approx(1 + 4 * 0.01, rel=1e-3)
