# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of deadlines: its oracle by scripted costs, and one short run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import tiny_model

from sparse_seg_ros.bench import deadline
from sparse_seg_ros.bench.deadline import LADDER, Runs, Setting, Timed
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig


def make_runs(slope: float = 2.0) -> Runs:
    """Return runs of frames of 1 s, of which the dense stage takes more and more."""
    runs = Runs(deadline=1.3)
    for before, wanted in ((1.0, 0.5), (1.1, 0.5), (1.0, 0.02), (1.4, 0.5)):
        runs.steps.append(0)
        runs.planned.append(Timed(before, 0.1, 0.05))
        runs.free.append(Timed(before, 0.1 + slope * wanted, wanted))
    for index, fraction in enumerate(LADDER):
        runs.ladder[index] = [0.1 + slope * fraction] * 3
    return runs


def test_the_oracle_refines_what_fits_by_the_measured_costs_and_no_more_than_is_uncertain():
    assert make_runs().oracle() == pytest.approx([0.1, 0.05, 0.02, 0.0])


def test_frames_whose_dense_stage_is_late_are_late_for_the_oracle_too():
    figures = deadline.summarise(make_runs())
    assert figures['rows']['oracle'] == {'on_time': 0.75, 'refined': pytest.approx(0.0425)}
    assert figures['rows']['with deadline mode'] == {'on_time': 0.75, 'refined': 0.05}
    assert figures['missed_without'] == 0.75
    assert figures['of_oracle'] == pytest.approx(0.05 / 0.0425)


def test_a_short_run_of_a_real_model_has_all_figures_and_a_table():
    segment = assemble(tiny_model(), SparseRefineConfig(alpha=0.0), 'cpu', 'fp32', {})
    figures = deadline.run(segment, Setting((96, 128), frames=12, ratio=3.0))
    json.dumps(figures, allow_nan=False)
    assert figures['rows']['without']['refined'] == figures['uncertain'][0] == 1.0
    assert 0 <= figures['rows']['with deadline mode']['refined'] < 1.0
    assert figures['deadline_ms'] == pytest.approx(3 * figures['dense_ms'])
    text = deadline.describe(figures)
    assert '12 frames 96x128, deadline' in text and '| with deadline mode |' in text


def test_the_noise_of_the_streets_steps_up_and_down(monkeypatch):
    monkeypatch.setattr(deadline, 'FRAMES_OF_A_STEP', 2)
    frames = list(deadline.noisy_streets(Setting((64, 96), frames=6)))
    assert [step for step, _ in frames[1:]] == [0, 0, 1, 1, 2, 2]
    roughness = [np.abs(np.diff(image.astype(float), axis=1)).mean() for _, image in frames[1:]]
    assert roughness[2] > 2 * roughness[0] and roughness[2] > 1.5 * roughness[4]


def test_what_cannot_keep_a_deadline_is_refused():
    dense = assemble(tiny_model(refines=False), DenseConfig('dense'), 'cpu', 'fp32', {})
    with pytest.raises(ValueError, match="must be one that refines.* got one of method 'dense'"):
        deadline.run(dense)
    with pytest.raises(ValueError, match='--ratio must be above 1, got 1'):
        Setting(ratio=1.0)
