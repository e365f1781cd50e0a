# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Method auto: refinement, or full resolution where that is faster and no worse."""

from __future__ import annotations

import logging

import pytest
from tiny import street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.data.street import CLASSES
from sparse_seg_ros.loading import zoo
from sparse_seg_ros.loading.auto_method import choose, common_scores, decide, scores_of
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.loading.zoo import find_model, load_resolutions
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine

FULL_IS_FASTER = {'refined': 40.0, 'full': 30.0}
FULL_IS_SLOWER = {'refined': 30.0, 'full': 40.0}


def scores(refined, full):
    return {'refined': {'test': {'mean_iou': refined}, 'mine': {'mean_iou': 0.1}},
            'full': {'test': {'mean_iou': full}}}


@pytest.fixture(name='method', scope='module')
def save_method(tmp_path_factory):
    """Write a method file and both its models; return its path."""
    folder = tmp_path_factory.mktemp('models')
    save_model(tiny_model(), folder / 'refines.safetensors')
    save_model(tiny_model(refines=False, scale=1.0), folder / 'full.safetensors')
    (folder / 'auto.yaml').write_text('method: auto\nweights: refines.safetensors\n'
                                      'full: full.safetensors\nengine_sizes: [64x96]\n'
                                      'engine: torch\nalpha: 0.5\n')
    return folder / 'auto.yaml'


@pytest.mark.parametrize(('milliseconds', 'measured', 'taken'), [
    (FULL_IS_FASTER, scores(0.6, 0.66), 'full'), (FULL_IS_FASTER, scores(0.6, 0.6), 'full'),
    (FULL_IS_FASTER, scores(0.6, 0.59), 'refined'), (FULL_IS_FASTER, scores(0.6, 0.5997), 'full'),
    ({'refined': 40.0, 'full': 39.0}, scores(0.6, 0.66), 'refined'),
    (FULL_IS_SLOWER, scores(0.6, 0.66), 'refined')])
def test_full_resolution_is_taken_where_it_is_faster_and_no_worse(milliseconds, measured, taken):
    assert decide(milliseconds, measured)[0] == taken


def test_it_says_why():
    assert decide(FULL_IS_FASTER, scores(0.604, 0.66))[1] == (
        'full resolution: mIoU refined and at full resolution is 60.4 and 66.0 % on test; '
        'refining takes 40 ms and full resolution 30 ms')


def test_without_an_accuracy_of_both_time_decides_and_that_is_said():
    name, why = decide(FULL_IS_FASTER, {'refined': {'test': {'mean_iou': 0.9}}, 'full': {}})
    assert name == 'full' and 'so time alone decides' in why
    assert decide(FULL_IS_SLOWER, {'refined': {}, 'full': {}})[0] == 'refined'
    for nothing in (0.7, {}, {'mean_iou': None}):
        assert 'time alone' in decide(FULL_IS_FASTER, {'refined': {'test': {'mean_iou': 0.9}},
                                                       'full': {'test': nothing}})[1]


def test_the_choice_is_logged_and_described(method, caplog):
    caplog.set_level(logging.INFO)
    segment = ss.load(method, 'cpu', 'fp32')
    about = segment.description
    assert 'method auto takes' in caplog.text and 'on a street of 64x96' in caplog.text
    assert about['method choice'] in f'auto takes {caplog.text.partition("auto takes ")[2]}'
    is_full = about['method choice'].startswith('auto takes full resolution')
    assert (about['method'], about['weights']) == (
        ('dense', 'full.safetensors') if is_full else ('sparse_refine', 'refines.safetensors'))
    assert segment(street_image()).labels.shape == (96, 128)


def test_without_common_scores_it_warns_that_time_alone_decides(method, caplog):
    ss.load(method, 'cpu', 'fp32')
    assert [record.levelname for record in caplog.records] == ['WARNING']
    assert 'so time alone decides' in caplog.text


def test_each_model_is_read_once(method, monkeypatch):
    names = []
    monkeypatch.setattr(zoo, 'find_model', lambda name: names.append(str(name)) or
                        find_model(name))
    ss.load(method, 'cpu', 'fp32')
    load_resolutions(method, 'cpu', 'fp32')
    assert names == 2 * [str(method), str(method.parent / 'full.safetensors')]


def test_refinement_is_timed_under_the_limits_of_the_frames_to_come(method):
    _, refined, full = load_resolutions(method, 'cpu', 'fp32').values()
    timed = []

    class Watched(SparseRefine):
        def __call__(self, images, request, clock):
            timed.append((request.alpha, request.budget))
            return super().__call__(images, request, clock)
    method = refined.method
    watched = refined.with_method(Watched(method.network, method.refiner))
    choose({'refined': watched, 'full': full}, scores(0.6, 0.6), [(64, 96)],
           {'alpha': 0.2, 'budget': 0.05})
    assert set(timed) == {(0.2, 0.05)} and (watched.alpha, watched.budget) == (0.5, 1.0)


@pytest.mark.parametrize(('settings', 'limits'), [
    ({'budget': 0.5}, {}), ({'temperature': 2.0}, {}), ({'scale': 0.25}, {}),
    ({'alpha': 0.9}, {}), ({}, {'alpha': 0.9}), ({}, {'budget': 0.5})])
def test_scores_of_other_settings_are_not_compared(settings, limits):
    card = tiny_model(scores={'test': {'mean_iou': 0.5}}).card
    assert scores_of(card, SparseRefineConfig(), {}) == card.scores
    assert scores_of(card, SparseRefineConfig(scale=0.5), {'alpha': card.alpha}) == card.scores
    assert scores_of(card, SparseRefineConfig(**settings), limits) == {}


def test_each_resolution_runs_with_the_settings_that_concern_it(method):
    unrefined, refined, full = load_resolutions(method, 'cpu', 'fp32').values()
    assert (unrefined.alpha, refined.alpha, full.alpha) == (None, 0.5, None)
    assert (unrefined.method.scale, refined.method.scale, full.method.scale) == (0.5, 0.5, 1.0)


def test_a_budget_of_the_refinement_is_not_one_of_the_dense_runs(method):
    method.write_text(method.read_text() + 'budget: 0.3\n')
    unrefined, refined, full = load_resolutions(method, 'cpu', 'fp32').values()
    assert (unrefined.budget, refined.budget, full.budget) == (None, 0.3, None)
    assert ss.load(method, 'cpu', 'fp32', method='dense').budget is None


def test_a_model_that_does_not_refine_has_no_resolutions_to_compare(method):
    assert load_resolutions(method.parent / 'full.safetensors', 'cpu', 'fp32') == {}
    refines = load_resolutions(method.parent / 'refines.safetensors', 'cpu')
    assert [*refines] == ['unrefined', 'refined']


def test_the_demo_knows_its_own_network_at_full_resolution():
    assert [*load_resolutions('demo', 'cpu')] == ['unrefined', 'refined', 'full']


@pytest.mark.parametrize('weights', ['full', 'refines'])
def test_without_both_models_it_says_what_to_name(method, weights):
    with pytest.raises(ValueError, match='method auto needs weights with a refiner, and those of '
                                         "the same network at full resolution; name these as 'fu"):
        ss.load(method.parent / f'{weights}.safetensors', 'cpu', method='auto')


@pytest.mark.parametrize(('model', 'words'), [
    ({'refines': False, 'classes': CLASSES[::-1], 'labels': ''}, 'has the classes .* the refined'),
    ({'refines': False, 'network': 'efficientnet_lite0', 'scale': 1.0},
     'has the network efficientnet_lite0, the refined one compact; name one with the same netw'),
    ({'refines': False, 'scale': 0.25}, 'at scale 0.25, the refined one at 0.5; name one with a'),
    ({}, 'sees images at scale 0.5, the refined one at 0.5')])
def test_only_the_same_network_at_a_larger_scale_is_full_resolution(method, model, words):
    save_model(tiny_model(**model), method.parent / 'other.safetensors')
    other = method.parent / 'other.yaml'
    other.write_text(method.read_text().replace('full.safe', 'other.safe'))
    for load in (ss.load, load_resolutions):
        with pytest.raises(ValueError, match=words):
            load(other, 'cpu')


def test_full_resolution_is_never_refined(method):
    save_model(tiny_model(scale=1.0), method.parent / 'other.safetensors')
    other = method.parent / 'other.yaml'
    other.write_text(method.read_text().replace('full.safe', 'other.safe'))
    assert load_resolutions(other, 'cpu')['full'].description['method'] == 'dense'


def test_the_cards_that_ship_have_scores_on_common_frames():
    refined, full = (find_model(name)[0].card.scores for name in ('demo', 'demo_full'))
    assert common_scores(refined, full), 'export demo_full with --scores and --row full, too'
