# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of whole models: their time, and what of a frame is refined at most."""

from __future__ import annotations

import json

import cv2
import pytest
from tiny import tiny_model

from sparse_seg_ros.bench import whole_models
from sparse_seg_ros.commands import main
from sparse_seg_ros.data.street import CLASSES, street_frames
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig


@pytest.fixture(name='models', scope='module')
def make_models():
    """Return a model that refines, its network at full resolution, and one of other classes."""
    return {
        'refined': assemble(tiny_model(), SparseRefineConfig(alpha=0.0, budget=0.1), 'cpu', 'fp32',
                            {}),
        'other': assemble(tiny_model(refines=False, classes=CLASSES[::-1], labels=''),
                          DenseConfig('dense', scale=1.0), 'cpu', 'fp32', {}),
        'full': assemble(tiny_model(refines=False), DenseConfig('dense', scale=1.0),
                         'cpu', 'fp32', {})}


def test_the_table_has_the_largest_density_and_how_even_refining_is(models, capsys):
    figures = whole_models.run(models, street_frames(1, 3, (128, 192)), CLASSES)
    rows = figures['rows']
    assert 0.09 < rows['refined']['density'] <= rows['refined']['density_most'] <= 0.1
    assert rows['refined']['refining_p99_to_p50'] >= 1
    assert rows['full']['density_most'] == 0 and rows['full']['ratio'] == 1
    assert 'at most' in whole_models.describe(figures) and capsys.readouterr().out == ''


def test_it_judges_refining_against_the_same_network_at_full_resolution(models):
    frames = list(street_frames(1, 2, (96, 128)))
    figures = whole_models.run(models, frames, CLASSES)
    assert [*figures['verdicts']] == ['refined against full']
    verdict = figures['verdicts']['refined against full']
    reports = {name: evaluate(models[name], frames) for name in ('refined', 'full')}
    for name, report in reports.items():
        assert figures['rows'][name]['mean_iou'] == pytest.approx(report.mean_iou)
    assert verdict['points'] == pytest.approx(
        100 * (reports['refined'].mean_iou - reports['full'].mean_iou))
    assert f'refined against full: {verdict["text"]}' in whole_models.describe(figures)
    assert 'mean_iou' not in figures['rows']['other']
    json.dumps(figures, allow_nan=False)


def test_frames_of_other_classes_are_judged_by_time_alone(models):
    figures = whole_models.run(models, street_frames(1, 1, (96, 128)), ('crop', 'weed'))
    assert figures['verdicts']['refined against full']['points'] is None


def test_the_command_compares_a_model_that_refines_with_its_full_resolution(tmp_path, capsys):
    assert main(['bench', 'model', '--size', '64x96', '--repeats', '2', '--device', 'cpu',
                 '--json', str(tmp_path / 'figures.json')]) == 0
    assert 'refined against full: refining ' in capsys.readouterr().out
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert {'processor', 'commit', 'weights'} <= figures.keys()
    assert [*figures['rows']] == ['unrefined', 'refined', 'full']
    assert main(['bench', 'model', '--repeats', '0']) == 1
    assert '--repeats must be at least 1, got 0' in capsys.readouterr().err


def test_the_command_takes_frames_of_a_split(tmp_path, capsys):
    save_model(tiny_model(), tmp_path / 'tiny.safetensors')
    for index, (image, label) in enumerate(street_frames(1, 3, (64, 96))):
        cv2.imwrite(str(tmp_path / f'{index}.png'), image[..., ::-1])
        cv2.imwrite(str(tmp_path / f'{index}_label.png'), label)
    (tmp_path / 'test.txt').write_text(''.join(f'{index}.png {index}_label.png\n'
                                               for index in range(3)))
    assert main(['bench', 'model', '--model', str(tmp_path / 'tiny.safetensors'), '--frames',
                 str(tmp_path / 'test'), '--repeats', '2', '--device', 'cpu']) == 0
    said = capsys.readouterr().out
    assert 'median of 2 frames 64x96' in said and 'mIoU' in said and 'against' not in said


def test_p99_is_of_the_stages_that_refine():
    times = [{'dense': 100.0 * index, 'select': 1.0, 'extract': 1.0, 'total': 1.0}
             for index in range(100)]
    times[-1]['extract'] = 9.0
    row = whole_models.summarise([whole_models.Result(0.1, time) for time in times])
    assert row['refining_p99_to_p50'] == pytest.approx(1 + 4 * 0.01, rel=1e-3)
