# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plans of variants, what is measured of each, and the tables."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_merging_segmenter, tiny_model

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.street import street_frames
from sparse_seg_ros.evaluation.ablation import (
    Data,
    FrameStatistics,
    Outcome,
    Plan,
    Variant,
    read_plan,
)
from sparse_seg_ros.evaluation.scores import Report
from sparse_seg_ros.evaluation.small_objects import SmallObjects, large_components
from sparse_seg_ros.files import share
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.method_config import own_config
from sparse_seg_ros.machine import write_figures
from sparse_seg_ros.methods.algm import Merging
from sparse_seg_ros.methods.reading import entropy_map
from sparse_seg_ros.report.ablation_tables import gains_by_size, to_markdown, to_record
from sparse_seg_ros.training.config import read_config
from sparse_seg_ros.training.variants import Trainings, plain_name
from sparse_seg_ros.yaml_files import read_yaml

SHIPPED = sorted((share() / 'config/ablate').glob('*.yaml'))


def plan_of(tmp_path, text):
    (tmp_path / 'plan.yaml').write_text(text)
    return read_plan(tmp_path / 'plan.yaml')


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_the_plans_that_ship_can_be_read(tmp_path, path):
    plan = read_plan(path)
    trainings = Trainings(plan.variants, tmp_path, 'cpu')
    assert all(plan.baseline_of(name) in plan.variants for name in plan.variants)
    assert len(plan.variants) > 1
    for name, config in trainings.configs.items():
        assert config.street_frames <= 400 and not config.validation, name
        assert config.splits == () or path.stem == 'seeds', name  # all others need no frames
        from_scratch = path.stem.startswith(('algm', 'lrformer', 'table_3a'))
        assert config.start_from in ((None, *plan.variants) if from_scratch else ('demo',))


def test_variants_of_one_name_are_trained_alike_in_all_plans(tmp_path):
    seen = {}
    for path in SHIPPED:
        for name, config in Trainings(read_plan(path).variants, tmp_path, 'cpu').configs.items():
            assert seen.setdefault(name, config) == config, (path.stem, name)


def test_a_plan_keeps_its_order_and_starts_with_the_baseline(tmp_path):
    plan = plan_of(tmp_path, 'streets: 3\ntraining: {epochs: 2, splits: []}\nvariants:\n'
                   '  b: {model: demo, alpha: 0.5}\n'
                   '  a: {train: config/train/refiner.yaml, training: {epochs: 5}}\n')
    assert list(plan.variants) == ['b', 'a'] and plan.baseline == 'b' and plan.data.streets == 3
    assert plan.variants['b'].method == {'alpha': 0.5}
    config = Trainings(plan.variants, tmp_path, 'cpu').configs['a']
    own = read_config(share() / 'config/train/refiner.yaml')
    assert (config.epochs, config.splits, config.batch_size) == (5, (), own.batch_size)


def test_a_training_is_repeated_with_every_seed(tmp_path):
    plan = plan_of(tmp_path, 'training: {epochs: 2}\nvariants:\n  base: {model: demo}\n'
                   '  a: {train: config/train/refiner.yaml, seeds: [0, 4]}\n')
    assert list(plan.variants) == ['base', 'a, seed 0', 'a, seed 4']
    configs = Trainings(plan.variants, tmp_path, 'cpu').configs
    assert [(config.seed, config.epochs) for config in configs.values()] == [(0, 2), (4, 2)]


def test_a_row_of_a_model_that_has_seeds_is_measured_with_each(tmp_path):
    plan = plan_of(tmp_path, 'variants:\n'
                   '  a: {train: config/train/refiner.yaml, seeds: [0, 4]}\n'
                   '  b: {model: a, ensembler: direct}\n  c: {model: demo}\n')
    assert list(plan.variants) == ['a, seed 0', 'a, seed 4', 'b, seed 0', 'b, seed 4', 'c']
    twin = plan.variants['b, seed 4']
    assert (twin.model, twin.group, twin.method) == ('a, seed 4', 'b', {'ensembler': 'direct'})
    assert plan.baseline == 'a' and plan.baseline_of('b, seed 4') == 'a, seed 4'
    named = plan_of(tmp_path, 'baseline: c\nvariants:\n  c: {model: demo}\n'
                    '  a: {train: config/train/refiner.yaml, seeds: [0, 4]}\n')
    assert named.baseline_of('a, seed 4') == 'c'


def test_gains_are_counted_from_the_baseline_of_the_same_seed():
    variants, outcomes = {}, {}
    for seed, score in enumerate((0.3, 0.5)):
        for group, row, change in (('a', BASE, 0.0), ('b', BETTER, 0.02 * (1 + seed))):
            name = f'{group}, seed {seed}'
            variants[name] = Variant(name, 'demo', group=group, seed=seed)
            outcomes[name] = replace(row, report=replace(row.report, mean_iou=score + change))
    plan = Plan(Data(baseline='a'), variants)
    text = to_markdown(plan, outcomes)
    assert '| a | 2 | 2.50 | 40.00 ± 14.14 | 25.00 ± 0.00 | - |' in text
    assert '| b | 2 | 2.50 | 43.00 ± 15.56 | 25.00 ± 0.00 | 3.00 ± 1.41 |' in text
    assert {name for name, row in to_record(plan, outcomes)['rows'].items() if 'gains' in row} \
        == {'b, seed 0', 'b, seed 1'}


@pytest.mark.parametrize(('text', 'message'), [
    ('about: x\n', r'plan.yaml: has no variants; add .variants:.'),
    ('variants: {}\n', r'plan.yaml: has no variants'),
    ('variants: [demo]\n', r'plan.yaml: has no variants'),
    ('variants: {a: demo}\n', r"variant 'a' must be settings such as \{model: demo\}, got 'demo'"),
    ('variants: {a: {model: demo, alpha_nat: 1}}\n',
     r"plan.yaml: variant 'a': unknown setting 'alpha_nat'; did you mean 'alpha'"),
    ('variants: {a: {model: demo, budget: 2}}\n', r"variant 'a': setting 'budget' must be at mo"),
    ('variants: {a: {alpha: 1}}\n', r"variant 'a' needs either 'model', .* or 'train'"),
    ('variants: {a: {model: demo, train: x.yaml}}\n', r"variant 'a' needs either 'model'"),
    ('variants: {a: {model: demo, seeds: [1]}}\n', r"variant 'a': 'seeds' must be a list .* 'tra"),
    ('variants: {a: {train: x.yaml, seeds: 3}}\n', r"'seeds' must be a list such as \[0, 1, 2\]"),
    ('street: 3\nvariants: {a: {model: demo}}\n', r"unknown setting 'street'; did you mean 'str"),
    ('baseline: b\nvariants: {a: {model: demo}}\n', r"baseline 'b' is no variant; known: a"),
])
def test_a_plan_that_makes_no_sense_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        plan_of(tmp_path, text)


def test_an_unknown_setting_of_a_training_is_named_before_any_training(tmp_path):
    plan = plan_of(tmp_path, 'variants: {a: {train: config/train/refiner.yaml, '
                             'training: {epoch: 1}}}')
    with pytest.raises(ValueError, match="training of 'a': unknown setting 'epoch'; did you mean"):
        Trainings(plan.variants, tmp_path, 'cpu')


def test_names_become_folders():
    assert plain_name('PatchRefine (256)') == 'PatchRefine_256'
    assert plain_name('alpha 0.3') == 'alpha_0.3'


def unsure_half(segment):
    """Return the median entropy of the dense stage, a threshold that half of a street exceeds."""
    return entropy_map(segment.coarse_logits(street_image(64, 96, seed=2))).median().item()


def labelled(label: np.ndarray) -> Frame:
    return Frame('a frame', read_image=lambda: None, read_label=lambda: label)


def test_recall_and_large_objects_are_counted_over_all_frames():
    model = tiny_model()
    segment = assemble(model, own_config(model), 'cpu', 'fp32', {})
    segment = segment.with_limits(alpha=unsure_half(segment))
    watch, errors, found = FrameStatistics(segment), 0, 0
    large = SmallObjects(11, large_components)
    for image, label in street_frames(2, 2, (64, 96)):
        label = label.copy()
        label[:7] = 255
        seen = segment(image)
        watch(labelled(label), image, seen)
        large.add(seen.labels, label)
        low = segment.coarse_logits(image)[0].argmax(0).numpy()  # (32, 48)
        for y in range(7, 64):
            for x in range(96):
                is_wrong = low[y // 2, x // 2] != label[y, x]
                errors += is_wrong
                found += is_wrong and seen.refined[y, x]
    assert 0 < found < errors and watch.recall() == found / errors
    assert list(watch.large_iou().values()) == [
        pytest.approx(score, abs=1e-4) for score in large.iou() if np.isfinite(score)]


def test_statistics_of_a_frame_without_labels_are_refused():
    segment, image = tiny_merging_segmenter(), street_image(64, 96)
    with pytest.raises(ValueError, match='a frame must have labels, got an image alone'):
        FrameStatistics(segment)(Frame('a frame', lambda: image), image, segment(image))


def test_multiply_accumulates_are_means_over_frames():
    model = tiny_model()
    segment = assemble(model, own_config(model), 'cpu', 'fp32', {})
    watch, image = FrameStatistics(segment), street_image(64, 96)
    costs = []
    for alpha in (0.0, unsure_half(segment)):
        seen = segment(image, alpha=alpha)
        watch(labelled(np.zeros((64, 96), np.uint8)), image, seen)
        costs.append(segment.method.count_macs((64, 96), torch.from_numpy(seen.refined)[None]))
    assert costs[0]['extract'] > costs[1]['extract']
    assert watch.mean_macs() == {stage: (costs[0][stage] + costs[1][stage]) / 2
                                 for stage in ('dense', 'extract', 'ensemble')}


def test_tokens_are_means_over_frames():
    segment, image = tiny_merging_segmenter(), street_image(64, 96)
    merging = Merging((1, 2), threshold=0.9, rule='fixed')
    segment = segment.with_method(segment.method.with_merging(merging))
    watch, counts = FrameStatistics(segment), []
    for frame in (image, np.zeros_like(image)):
        seen = segment(frame)
        watch(labelled(np.zeros((64, 96), np.uint8)), frame, seen)
        segment.method.network(torch.zeros(1, 3, 64, 96))  # leaves what is counted alone
        counts += [call.counts for call in seen.work.calls]
    assert counts[0] != counts[1]
    assert watch.mean_tokens() == tuple(np.mean(counts, 0))


def outcome(small, large, milliseconds=None, recall=0.8):
    report = Report(2, 0.5, 0.25, {'car': 0.6, 'sky': 0.4}, small, 0.9, 0.125,
                    milliseconds or {'dense': 5.0, 'select': 1.0, 'label': 2.0, 'total': 9.0})
    return Outcome(report, recall, {'dense': 2e9, 'extract': 5e8}, large)


BASE = outcome({'car': 0.1, 'sky': 0.2}, {'car': 0.5, 'sky': 0.6}, recall=None)
BETTER = outcome({'car': 0.2, 'sky': 0.1}, {'car': 0.52, 'sky': 0.7})


def test_gains_are_compared_by_size_where_both_gain():
    gains = gains_by_size(BETTER, BASE)
    assert gains['car']['factor'] == pytest.approx(5) and gains['sky']['factor'] is None
    assert gains['sky']['small'] == pytest.approx(-0.1)
    assert gains['mean']['small'] == pytest.approx(0) and \
        gains['mean']['large'] == pytest.approx(0.06)


def two_rows():
    variants = {name: Variant(name, 'demo') for name in ('base', 'better', 'broken')}
    outcomes = {'base': BASE, 'better': BETTER, 'broken': FileNotFoundError('no weights file x')}
    return Plan(Data(about='a try'), variants), outcomes


def test_tables_show_costs_scores_gains_and_failures():
    text = to_markdown(*two_rows())
    assert text.startswith('a try (8 streets 512x1024, seed 1001)')
    assert '| better | 12.5 | 80.0 | 2.00 | 0.50 | 5.0 | 1.0 | 2.0 | 9.0 | 50.0 | 25.0 |' in text
    assert '| base | 12.5 | - | 2.00 |' in text
    assert '| broken | failed: no weights file x |' in text
    assert '+10.0 / +2.0 = 5.0' in text and '-10.0 / +10.0 |' in text
    for table in text.split('\n\n'):
        lines = [line for line in table.splitlines() if line.startswith('|')]
        assert len({line.count('|') for line in lines}) <= 1


def test_seeds_are_told_as_mean_and_deviation():
    variants = {'base': Variant('base', 'demo')}
    outcomes = {'base': BASE}
    for seed, score in enumerate((0.5, 0.52, 0.54)):
        name = f'a, seed {seed}'
        variants[name] = Variant(name, train='x.yaml', group='a', seed=seed)
        outcomes[name] = replace(BETTER, report=replace(BETTER.report, mean_iou=score))
    text = to_markdown(Plan(Data(), variants), outcomes)
    assert '| a | 3 | 2.50 | 52.00 ± 2.00 | 25.00 ± 0.00 | 2.00 ± 2.00 |' in text
    assert 'Over the seeds' not in to_markdown(*two_rows())


def test_a_table_shows_tokens_where_they_merge():
    plan, outcomes = two_rows()
    outcomes['better'] = replace(BETTER, tokens=(640.6, 640.6, 500.2))
    text = to_markdown(plan, outcomes)
    assert '| tokens, first and last block |' in text and '| 0.50 | 641, 500 | 5.0 |' in text
    assert '| 0.50 | - | 5.0 |' in text


def test_a_table_shows_what_the_paper_measured_where_a_plan_says_it():
    plan, outcomes = two_rows()
    plan.variants['better'] = Variant('better', 'demo', paper='9.9 ms')
    text = to_markdown(plan, outcomes)
    assert '| small mIoU % | paper |' in text and '| 25.0 | 9.9 ms |' in text
    assert '| paper |' not in to_markdown(*two_rows())


def test_a_table_of_failures_alone_can_be_drawn():
    plan, outcomes = two_rows()
    text = to_markdown(plan, {'broken': outcomes['broken']})
    assert 'failed: no weights file x' in text


def test_the_record_is_json_without_nan(tmp_path):
    plan, outcomes = two_rows()
    outcomes['base'] = replace(BASE, report=replace(BASE.report, small_mean_iou=float('nan')))
    write_figures(tmp_path / 'figures.json', to_record(plan, outcomes))
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['rows']['broken'] == {'error': 'no weights file x'}
    assert figures['rows']['base']['report']['small_mean_iou'] is None
    assert figures['rows']['better']['gains']['car']['factor'] == pytest.approx(5)
    assert figures['variants']['base']['model'] == 'demo' and figures['seed'] == 1001


def test_shipped_tables_name_what_a_larger_machine_would_take():
    for path in SHIPPED:
        if 'training' in read_yaml(path):
            assert 'scale_up:' in path.read_text(), path.stem


def test_a_former_name_in_a_plan_is_read(tmp_path):
    (tmp_path / 'plan.yaml').write_text('variants: {a: {model: demo, alpha_nats: 0.5}}\n')
    assert read_plan(tmp_path / 'plan.yaml').variants['a'].method == {'alpha': 0.5}
