# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What frames cost is learnt from scripted costs."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.stream.cost_model import PROBE, CostModel, Line

BASE, SLOPE = 0.05, 6.0


def learnt(fractions, base: float = BASE, slope: float = SLOPE, noise: float = 0.0,
           model: CostModel | None = None) -> CostModel:
    """Return a model that has learnt frames with these refined fractions, the first with none."""
    random, model = np.random.default_rng(0), model or CostModel()
    for fraction in (0.0, *fractions):
        model.learn(1.0, fraction, (base + slope * fraction) * (1 + random.normal(0, noise)))
    return model


def test_base_and_slope_are_found_under_noise():
    model = learnt(np.random.default_rng(1).uniform(0.01, 0.1, 500), noise=0.1)
    assert model.line.slope == pytest.approx(SLOPE, rel=0.06)
    assert model.line(0.0) == pytest.approx(BASE, rel=0.25)
    assert model.dense_seconds() == pytest.approx(1 + BASE, rel=0.03)


def test_equal_fractions_do_not_make_it_forget_the_base_or_wind_up():
    model = learnt([0.03] * 5000, noise=0.1)
    assert model.line(0.03) == pytest.approx(BASE + 0.03 * SLOPE, rel=0.05)
    assert model.line(0.01) == pytest.approx(BASE + 0.01 * SLOPE, rel=0.2)
    assert np.abs(model.line.doubt).max() < 10 and np.isfinite(model.line.values).all()


def test_equal_fractions_that_differ_from_the_first_are_learnt_at_once():
    model = learnt([0.0] * 50 + [0.002, 0.004, 0.004, 0.004])
    assert model.line(0.004) == pytest.approx(BASE + 0.004 * SLOPE, rel=0.02)


def test_what_it_explores_is_at_most_twice_the_largest_so_far():
    model = CostModel()
    assert model.affordable(100.0) == 0.0  # nothing is known
    model.learn(1.0, 0.0, BASE)
    fractions = []
    for _ in range(12):
        fractions.append(model.affordable(100.0))
        model.learn(1.0, fractions[-1], BASE + SLOPE * fractions[-1])
    assert fractions[0] == PROBE and fractions[-1] == 1.0
    assert all(after <= 2 * before for before, after in zip(fractions, fractions[1:]))


@pytest.mark.parametrize('slope', [0.5, 6.0, 29.0])
def test_exploring_never_takes_more_than_the_slack(slope):
    model, slack = CostModel(), 0.3
    for _ in range(40):
        fraction = model.affordable(slack)
        spent = BASE + slope * fraction
        assert spent <= slack
        model.learn(1.0, fraction, spent)
    assert spent > 0.7 * slack or fraction == 1.0


def test_no_slack_is_no_refinement_and_never_less():
    model = learnt([0.02, 0.05, 0.1])
    assert model.affordable(-1.0) == model.affordable(0.0) == model.affordable(BASE) == 0.0
    assert model.affordable(BASE * 2) > 0


def test_the_margin_is_that_of_the_noise():
    random = np.random.default_rng(2).uniform(0.01, 0.1, 400)
    assert learnt(random, noise=0.0).margin < 1.01
    assert 1.1 < learnt(random, noise=0.05).margin < 1.2
    assert 1.2 < learnt(random, noise=0.1).margin < 1.4


def test_a_hiccup_changes_little_and_a_slower_machine_is_learnt_soon():
    model = learnt([0.02, 0.05] * 200, noise=0.05)
    before = model.affordable(0.4)
    model.learn(1.0, 0.05, 10 * (BASE + 0.05 * SLOPE))
    assert model.affordable(0.4) > 0.85 * before
    learnt([0.02, 0.05] * 50, 2 * BASE, 2 * SLOPE, model=model)
    assert model.line(0.05) == pytest.approx(2 * (BASE + 0.05 * SLOPE), rel=0.15)


@pytest.mark.parametrize('base', [BASE, 0.2])
def test_after_a_slow_spell_it_refines_as_much_again_even_if_it_had_to_stop(base):
    model, slack = CostModel(), 0.35

    def run(count, pace=1.0):
        for _ in range(count):
            fraction = model.affordable(slack)
            model.learn(1.0, fraction, pace * (base + SLOPE * fraction))
        return fraction
    before = run(200)
    run(20, pace=3.0)
    assert run(450) > 0.95 * before > 0


def test_an_extractor_with_a_dense_part_is_learnt_by_one_frame_and_left_out_where_it_is_too_slow():
    model, dense_part, slack, late = CostModel(), 0.5, 0.4, 0
    for number in range(400):
        if number == 200:
            slack = 0.9
        fraction = model.affordable(slack)
        spent = BASE + (dense_part + SLOPE * fraction if fraction else 0.0)
        late += spent > slack
        model.learn(1.0, fraction, spent)
        if number == 199:
            assert fraction == 0.0 and late == 1
            assert model.dense_seconds() == pytest.approx(1 + BASE)
    assert late == 1 and fraction > 0.8 * (slack - BASE - dense_part) / SLOPE


def test_a_machine_that_is_slow_for_a_while_is_told_by_frames_without_refinement():
    model, slack = CostModel(), 0.9

    def run(count, pace):
        for _ in range(count):
            fraction = model.affordable(slack)
            spent = pace * (BASE + (0.5 + SLOPE * fraction if fraction else 0.0))
            model.learn(pace, fraction, spent)
        return fraction
    before = run(100, 1.0)
    assert run(100, 3.0) == 0.0
    assert run(500, 1.0) > 0.9 * before > 0


def test_noise_never_makes_more_pixels_cheaper():
    line = Line(1.0, 0.0)
    for seconds in (1.0, 0.5, 0.1):
        line.learn(0.1, seconds)
    assert line.slope > 0 and line(0.2) >= line(0.1) > 0
