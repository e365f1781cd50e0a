# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of the documents are what bench/results say, and those are of the weights here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))
from bench import figures

FILES = sorted(path.stem for path in (figures.ROOT / 'bench/results').glob('*.json'))
USES_MODELS = ('evaluate', 'calibrate', 'ablate', 'bench model')
FOREIGN = {'weights': {'demo': {'file': 'demo.safetensors', 'sha256': '0' * 64}}}


@pytest.mark.parametrize('document', figures.DOCUMENTS)
def test_the_tables_of_a_document_are_what_the_figures_say(document):
    path = figures.ROOT / document
    assert figures.redrawn(path) == path.read_text(), 'run `make figures`'


def test_figures_are_of_the_weights_that_ship():
    assert figures.problems() == {}, 'run `make measure` on an idle machine'


def test_every_file_of_figures_has_a_command_and_a_table():
    drawn = {file for table in figures.TABLES.values() for file in table.files}
    assert set(FILES) == set(figures.COMMANDS) == drawn


def test_every_table_stands_in_a_document():
    text = ''.join(path.read_text() for path in figures.documents())
    assert {match[2] for match in figures.MARKED.finditer(text)} == set(figures.TABLES)


@pytest.mark.parametrize('file', FILES)
def test_a_file_of_figures_names_machine_commit_and_weights(file):
    content = figures.read(file)
    assert {'processor', 'threads', 'device', 'versions', 'commit'} <= content.keys()
    if figures.COMMANDS[file].startswith(USES_MODELS):
        assert content['weights']
        assert all({'file', 'sha256'} == one.keys() for one in content['weights'].values())


def test_figures_of_other_weights_are_told(monkeypatch):
    read = figures.read
    monkeypatch.setattr(figures, 'read', lambda file: {**read(file), **FOREIGN})
    assert figures.problems()['camvid_test'] == \
        'belongs to other weights than models/demo.safetensors'
    assert 'rivals' not in figures.problems()
    assert 'The demo weights have changed since.' in figures.render('rivals', figures.ROOT)


def test_a_missing_file_is_told_with_its_command(monkeypatch, tmp_path):
    monkeypatch.setattr(figures, 'path_of', lambda file: figures.ROOT / 'bench/none' / file)
    assert set(figures.problems().values()) == {'is missing'}
    with pytest.raises(FileNotFoundError, match='make it with: sparse_seg bench node --json'):
        figures.read('node_cpu')


def test_measuring_runs_the_commands_of_what_is_wrong(monkeypatch, capsys):
    runs = []
    monkeypatch.setattr(sys, 'argv', ['figures', '--measure'])
    monkeypatch.setattr(figures.subprocess, 'run', lambda words, **_: runs.append(words))
    monkeypatch.setattr(figures, 'problems', lambda: {'node_cpu': 'is missing'})
    monkeypatch.setattr(figures, 'documents', lambda: [])
    assert figures.main() == 1
    assert runs == [[sys.executable, '-m', 'sparse_seg_ros', 'bench', 'node', '--json',
                     'bench/results/node_cpu.json']]
    assert 'node_cpu.json is missing; make it with:' in capsys.readouterr().out


def test_a_stale_table_is_drawn_anew_and_the_prose_around_it_stays(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('Before.\n\n<!-- figures: attention -->\nold\n<!-- end -->\n\nAfter.\n')
    text = figures.redrawn(page)
    assert text.startswith('Before.\n\n<!-- figures: attention -->\n| network |')
    assert text.endswith('<!-- end -->\n\nAfter.\n') and 'old' not in text


def test_a_density_that_is_not_the_papers_is_told():
    row = {'density': 0.118}
    assert figures.drawings.note_of_density({'hrnet_w48': row}) == ''
    assert figures.drawings.note_of_density({'hrnet_w48': row, 'segformer_b5': row}).endswith(
        "at another density than the paper's: segformer_b5.")


def test_the_gain_says_which_is_faster():
    def report(mean_iou, total):
        return {'mean_iou': mean_iou, 'milliseconds': {'total': total}}
    rows = {'half': report(0.5, 1), 'refined': report(0.53, 20), 'full': report(0.54, 30)}
    assert figures.drawings.gain(rows) == (
        'refining adds 3.0 points of mIoU, full resolution adds 4.0; refining is 1.5 times faster '
        'than full resolution.')
    rows['full'] = report(0.54, 10)
    assert 'takes 2.0 times as long as full resolution.' in figures.drawings.gain(rows)


def test_an_unknown_table_is_named(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('<!-- figures: nonsense -->\n<!-- end -->\n')
    with pytest.raises(ValueError, match="no table 'nonsense'; expected one of summary, camvid"):
        figures.redrawn(page)


def test_the_threshold_in_a_command_is_that_of_the_weights():
    alpha = figures.find_model('demo')[0].card.alpha_nats
    assert f'--alpha {alpha:.4f} --check' in figures.command('calibration_camvid')
