# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command ablate, from a plan to tables: one variant trained, one broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tiny import tiny_model

from sparse_seg_ros.commands import ablate as ablate_command
from sparse_seg_ros.commands import main
from sparse_seg_ros.files import find_file
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.training import cost
from sparse_seg_ros.training.config import read_config
from sparse_seg_ros.training.cost import count_views, training_hours, view_seconds

TRAINING = """
stage: point_rend
planes: [8]
street_frames: 2
street_size_hw: [64, 96]
crop_hw: [48, 64]
batch_size: 2
precision: fp32
"""
PLAN = """
about: rivals
streets: 2
size_hw: [64, 96]
baseline: dense
training: {{start_from: {model}, epochs: 1}}
variants:
  dense: {{model: {model}, method: dense}}
  lost: {{model: absent.safetensors}}
  points: {{train: {folder}/train.yaml}}
  fewer points: {{model: points, budget: 0.01}}
"""


@pytest.fixture(name='folder', scope='module')
def run_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ablation')
    save_model(tiny_model(), folder / 'tiny.safetensors')
    (folder / 'train.yaml').write_text(TRAINING)
    (folder / 'plan.yaml').write_text(PLAN.format(model=folder / 'tiny.safetensors',
                                                  folder=folder))
    assert ablate(folder) == 1  # one variant is lost
    return folder


def ablate(folder, *options):
    return main(['ablate', str(folder / 'plan.yaml'), '-o', str(folder / 'out'), '--device', 'cpu',
                 '--precision', 'fp32', *options])


COSTS = """
streets: 1
size_hw: [64, 96]
variants:
  further: {{train: {folder}/train.yaml, training: {{start_from: later}}}}
  later: {{train: {folder}/train.yaml, training: {{start_from: {folder}/tiny.safetensors}}}}
"""


def test_the_cost_is_told_before_the_first_training(folder, tmp_path, capsys):
    (tmp_path / 'costs.yaml').write_text(COSTS.format(folder=folder) + 'training: {epochs: 0}\n')
    words = ['ablate', str(tmp_path / 'costs.yaml'), '-o', str(tmp_path), '--device', 'cpu']
    assert main(words) == 1  # settings are read before anything else
    assert 'to train' not in capsys.readouterr().err
    (tmp_path / 'costs.yaml').write_text(COSTS.format(folder=folder) + 'training: {epochs: 1}\n')
    assert main(words) == 1  # what 'further' starts from comes after it
    said = capsys.readouterr().err
    assert said.index('2 to train on this machine: about 0 min; further not estimated') \
        < said.index('variants:')


def test_hours_follow_from_views_and_the_time_of_one(folder, tmp_path, monkeypatch):
    config = read_config(folder / 'train.yaml', {'start_from': str(folder / 'tiny.safetensors'),
                                                 'cache': str(tmp_path)}, 'test')
    assert count_views(replace(config, epochs=5)) == 10
    assert 0 < view_seconds(config, 'cpu') < 10
    monkeypatch.setattr(cost, 'view_seconds', lambda *_: 36.0)
    assert training_hours(replace(config, epochs=50), 'cpu') == pytest.approx(1.0)


def test_every_variant_has_a_row_and_a_lost_one_says_why(folder):
    rows = json.loads((folder / 'out/plan.json').read_text())['rows']
    assert list(rows) == ['dense', 'lost', 'points', 'fewer points']
    assert 'no weights file absent.safetensors' in rows['lost']['error']
    for name in ('dense', 'points', 'fewer points'):
        assert rows[name]['report']['frames'] == 2 and rows[name]['macs']['dense'] > 0
    assert rows['dense']['recall'] is None and rows['points']['recall'] >= 0
    assert rows['fewer points']['macs']['extract'] < rows['points']['macs']['extract']
    text = (folder / 'out/plan.md').read_text()
    assert text.startswith('rivals (2 streets 64x96, seed 1001)')
    assert '| lost | failed: no weights file absent.safetensors' in text


def test_a_refiner_is_trained_on_the_dense_network_alone(folder):
    model = load_model(folder / 'out/points/model.safetensors')
    assert model.card.refined_by == 'point_rend' and model.card.planes == (8,)
    start = load_model(folder / 'tiny.safetensors').network.state_dict()
    assert all((tensor == start[key]).all() for key, tensor in model.network.state_dict().items())


def test_what_is_trained_is_not_trained_again(folder, capsys):
    trained = (folder / 'out/points/last.pt').stat().st_mtime_ns
    assert ablate(folder, '--street', '1', '--size', '64x64',
                  '--json', str(folder / 'again.json')) == 1
    assert (folder / 'out/points/last.pt').stat().st_mtime_ns == trained
    figures = json.loads((folder / 'again.json').read_text())
    assert (figures['streets'], figures['size_hw']) == (1, [64, 64])
    said = capsys.readouterr()
    assert '| points |' in said.out and 'sparse_seg ablate: lost failed' in said.err


def test_a_training_with_other_settings_is_not_taken_for_the_same(folder, tmp_path):
    text = (folder / 'plan.yaml').read_text()
    (tmp_path / 'plan.yaml').write_text(text.replace('epochs: 1', 'epochs: 2'))
    assert main(['ablate', str(tmp_path / 'plan.yaml'), '-o', str(folder / 'out'), '--device',
                 'cpu', '--street', '1', '--size', '64x64',
                 '--json', str(tmp_path / 'other.json')]) == 1
    rows = json.loads((tmp_path / 'other.json').read_text())['rows']
    assert 'was trained with epochs 1, now 2: keep its settings, del' in rows['points']['error']


@pytest.mark.parametrize('table', ablate_command.ELSEWHERE)
def test_a_table_without_a_plan_names_the_command_that_draws_it(table, tmp_path, capsys):
    assert not find_file(f'config/ablate/{table}.yaml').exists()
    assert main(['ablate', table, '-o', str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and f'{table} has no plan; draw it with' in said
    assert said.strip().endswith(ablate_command.ELSEWHERE[table]) and not [*tmp_path.iterdir()]


def test_plans_that_are_missing_or_empty_are_refused(tmp_path, capsys):
    assert main(['ablate', str(tmp_path / 'absent.yaml')]) == 1
    assert 'no settings file' in capsys.readouterr().err
    (tmp_path / 'empty.yaml').write_text('about: nothing\n')
    assert main(['ablate', str(tmp_path / 'empty.yaml')]) == 1
    assert 'has no variants' in capsys.readouterr().err
