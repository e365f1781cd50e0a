# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores go from `evaluate` into the card of an exported model, calibration too."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from tiny import tiny_model

from sparse_seg_ros.commands import main
from sparse_seg_ros.commands.options import named_models, split_name
from sparse_seg_ros.evaluation.scores import Report
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.machine import write_figures
from sparse_seg_ros.report.tables import markdown


@pytest.fixture(name='run')
def trained_run(tmp_path):
    save_model(tiny_model(), tmp_path / 'model.safetensors')
    return tmp_path


def evaluate(run, *options):
    return main(['evaluate', '--model', f'refined={run}/model.safetensors', '--street', '2',
                 '--size', '96x128', '--device', 'cpu', '--precision', 'fp32', *options])


def pack(run, *options):
    return main(['export', 'weights', '--model', f'{run}/model.safetensors',
                 '-o', f'{run}/out.safetensors', '--scores', f'{run}/scores.json', *options])


def test_a_table_shows_every_class_and_the_small_objects(run, capsys):
    assert evaluate(run) == 0
    head, _, row, small, _, interval = capsys.readouterr().out.strip().splitlines()
    assert head.startswith('| model | mIoU | sky |') and head.endswith('| density | ms |')
    assert row.startswith('| refined |') and small.startswith('| refined, small objects |')
    assert len({line.count('|') for line in (head, row, small)}) == 1
    assert interval.startswith('refined: mIoU ') and ' to ' in interval


def test_frames_without_small_objects_have_a_dash_and_null_for_their_score(tmp_path):
    report = Report(frames=1, mean_iou=0.5, iou={'grass': 0.5}, small_mean_iou=float('nan'),
                    small_iou={}, accuracy=0.5, density=0.0, milliseconds={'total': 1.0})
    assert markdown({'mine': report}).endswith('| mine, small objects | - | - |  |  |')
    write_figures(tmp_path / 'figures.json', {'rows': [asdict(report)]})
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['rows'][0]['small_mean_iou'] is None


def test_an_exported_model_carries_scores_and_calibration(run):
    (run / 'method.yaml').write_text('weights: model.safetensors\nalpha: 0.25\n'
                                     'temperature: 1.5\nexposure: lifted\n'
                                     'uncertain_limit: 0.2\n')
    assert evaluate(run, '--json', str(run / 'scores.json')) == 0
    assert pack(run, '--calibration', f'{run}/method.yaml') == 0
    card = load_model(run / 'out.safetensors').card
    assert (card.alpha, card.temperature, card.exposure) == (0.25, 1.5, 'lifted')
    assert card.uncertain_limit == 0.2
    row = json.loads((run / 'scores.json').read_text())['rows']['refined']
    assert card.scores['2 streets 96x128']['mean_iou'] == row['mean_iou']


def test_the_tests_of_two_data_sets_have_two_names():
    for split in ('../data/camvid960/test', 'camvid960/test.txt'):
        assert split_name(split) == 'camvid960/test'
    assert split_name('test') == 'test'


def test_a_row_that_is_not_there_is_named(run, capsys):
    (run / 'scores.json').write_text('{"frames": "x", "rows": {"half": {}}}')
    assert pack(run) == 1
    assert "has no row 'refined'; it has half; choose with --row" in capsys.readouterr().err


@pytest.mark.parametrize('text', ['', '[]', '{"frames": "x"}',
                                  '{"frames": "x", "rows": {"refined": {}}}'])
def test_scores_that_are_none_are_refused(run, capsys, text):
    (run / 'scores.json').write_text(text)
    assert pack(run) == 1
    assert 'scores.json: expected figures written by `sparse_seg eval' in capsys.readouterr().err


def test_a_size_must_be_height_and_width(run, capsys):
    assert main(['evaluate', '--street', '1', '--size', '96', '--model',
                 f'{run}/model.safetensors']) == 1
    assert '--size must be HxW, like 1024x2048' in capsys.readouterr().err


@pytest.mark.parametrize(('items', 'names'), [
    (['demo', 'config/dense.yaml', 'best=x.safetensors'], ['demo', 'dense', 'best']),
    (['runs/a/model.safetensors', 'runs/b/model.safetensors', 'runs/c'], ['a', 'b', 'c']),
    (['one/a/model.safetensors', 'two/a/model.safetensors', 'b'],
     ['one/a/model.safetensors', 'two/a/model.safetensors', 'b']),
    (['model.safetensors'], ['model']),
])
def test_no_model_takes_the_name_of_another(items, names):
    assert list(named_models(items)) == names
    assert list(named_models(items).values()) == [item.rpartition('=')[2] for item in items]


@pytest.mark.parametrize('items', [['demo', 'demo'], ['a=demo', 'a=demo_full']])
def test_a_name_given_twice_is_refused(items):
    with pytest.raises(ValueError, match='two models would both be named .*; name them apart'):
        named_models(items)


def test_two_runs_have_a_row_each(run, capsys):
    for name in 'ab':
        (run / name).mkdir()
        save_model(tiny_model(refines=False), run / name / 'model.safetensors')
    assert main(['evaluate', '--model', f'{run}/a/model.safetensors', f'{run}/b/model.safetensors',
                 '--street', '1', '--size', '96x128', '--device', 'cpu']) == 0
    printed = capsys.readouterr().out
    assert '| a |' in printed and '| b |' in printed


def test_a_model_is_scored_in_the_classes_of_a_remap(run, capsys):
    assert evaluate(run, '--remap', 'camvid_to_nav2', '--json', str(run / 'scores.json')) == 0
    assert '| drivable | obstacle | other |' in capsys.readouterr().out
    assert json.loads((run / 'scores.json').read_text())['remap'] == 'camvid_to_nav2'
    assert evaluate(run, '--remap', 'cityscapes_to_camvid') == 1
    assert "remap 'cityscapes_to_camvid' is for the classes" in capsys.readouterr().err
