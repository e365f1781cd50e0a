# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of the documents are what bench/results say, and those are of the weights here."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))
from bench import drawings, figures
from bench.gpu_evidence import STEPS

RESULTS = figures.ROOT / 'bench/results'
FILES = sorted(path.stem for path in RESULTS.glob('*.json'))
USES_MODELS = ('evaluate', 'calibrate', 'ablate', 'bench model')
NOT_YET = {file for table in figures.TABLES.values() for file in table.files if table.not_yet}
STUDIES = {file for table in figures.TABLES.values() if table.is_study for file in table.files}
FOREIGN = {'weights': {'demo': {'file': 'demo.safetensors', 'sha256': '0' * 64}}}


@pytest.mark.parametrize('document', figures.DOCUMENTS)
def test_the_tables_of_a_document_are_what_the_figures_say(document):
    path = figures.ROOT / document
    assert figures.redrawn(path) == path.read_text(), 'run `make figures`'


def test_figures_are_of_the_weights_that_ship():
    assert figures.problems() == {}, 'run `make measure` on an idle machine'


def test_every_file_of_figures_has_a_command_and_a_table():
    drawn = {file for table in figures.TABLES.values() for file in table.files
             if not table.not_yet}
    assert set(FILES) - NOT_YET == set(figures.COMMANDS) == drawn


def test_every_table_stands_in_a_document():
    text = ''.join(path.read_text() for path in figures.documents())
    assert {match[2] for match in figures.MARKED.finditer(text)} == set(figures.TABLES)


@pytest.mark.parametrize('file', sorted({*FILES} - NOT_YET))
def test_a_file_of_figures_names_machine_commit_and_weights(file):
    content = figures.read(file)
    assert {'processor', 'threads', 'device', 'versions', 'commit'} <= content.keys()
    if figures.COMMANDS[file].startswith(USES_MODELS) and file not in STUDIES:
        assert content['weights']
        for one in content['weights'].values():
            assert one.keys() == {'file', 'sha256'} and re.fullmatch('[0-9a-f]{64}', one['sha256'])


def test_figures_of_other_weights_are_a_problem_but_those_of_a_study_are_marked(monkeypatch):
    read = figures.read
    monkeypatch.setattr(figures, 'read', lambda file: {**read(file), **FOREIGN})
    assert figures.problems()['camvid_test'] == \
        'was measured with other weights than models/demo.safetensors'
    assert 'rivals' not in figures.problems()
    assert 'The demo weights have changed since.' in figures.render('rivals', figures.ROOT)


def test_figures_that_name_no_weights_are_marked_as_former():
    assert 'The demo weights have changed since.' in figures.render('stages_gpu', figures.ROOT)


def test_what_was_not_measured_yet_is_no_problem_and_says_so(monkeypatch):
    monkeypatch.setattr(figures, 'path_of', lambda file: figures.ROOT / 'bench/none' / file)
    assert 'gpu_evidence' not in figures.problems()
    assert figures.render('gpu', figures.ROOT).startswith('Not measured yet; `make gpu-evidence`')


def test_evidence_of_a_gpu_is_drawn_as_far_as_it_got():
    steps = {'tests': {'figures': None}, 'model': {'figures': figures.read('model_cpu')},
             'networks fp16, 4': {'figures': figures.read('refined_cpu')}}
    text = drawings.gpu({'steps': steps})
    assert text.startswith(drawings.stages(figures.read('model_cpu')))
    assert text.endswith(drawings.refined(figures.read('refined_cpu')))
    assert {*drawings.EVIDENCE} <= {*STEPS}


def test_figures_of_another_command_are_a_problem(monkeypatch):
    read = figures.read
    monkeypatch.setattr(figures, 'read', lambda file: {**read(file), 'command': 'sparse_seg old'})
    assert figures.problem('node_cpu', is_study=False) == \
        'was made by another command: sparse_seg old'
    assert figures.problem('algm_camvid', is_study=True).startswith('was made by another command')


def test_a_missing_file_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(figures, 'path_of', lambda file: figures.ROOT / 'bench/none' / file)
    assert set(figures.problems().values()) == {'is missing'}
    with pytest.raises(FileNotFoundError, match='make it with: sparse_seg bench node --json'):
        figures.read('node_cpu')


@pytest.fixture(name='page')
def make_page(monkeypatch, tmp_path):
    """Return the only document of a root without figures; it has a table of node_cpu."""
    page = tmp_path / 'page.md'
    page.write_text('Before.\n\n<!-- figures: node -->\nold\n<!-- end -->\n\nAfter.\n')
    monkeypatch.setattr(figures, 'ROOT', tmp_path)
    monkeypatch.setattr(figures, 'DOCUMENTS', ('page.md',))
    monkeypatch.setattr(figures, 'TABLES', {'node': figures.TABLES['node']})
    monkeypatch.setattr(sys, 'argv', ['figures'])
    return page


def test_a_table_without_figures_stays_as_it_is(page, capsys):
    before = page.read_text()
    assert figures.main() == 1
    assert page.read_text() == before
    assert 'node_cpu.json is missing; make it with:' in capsys.readouterr().out


def test_measuring_makes_what_is_missing_and_keeps_its_command(page, monkeypatch):
    content, runs = figures.path_of('node_cpu'), []
    measured = json.loads((RESULTS / 'node_cpu.json').read_text())

    def run(words, **_):
        runs.append(words)
        content.parent.mkdir(parents=True)
        content.write_text(json.dumps(measured))
        return SimpleNamespace(returncode=0)
    monkeypatch.setattr(figures.subprocess, 'run', run)
    monkeypatch.setattr(sys, 'argv', ['figures', '--measure'])
    assert figures.main() == 0
    assert runs == [[sys.executable, '-m', 'sparse_seg_ros', 'bench', 'node', '--json',
                     'bench/results/node_cpu.json']]
    assert json.loads(content.read_text()) == {
        'command': 'sparse_seg bench node --json bench/results/node_cpu.json', **measured}
    assert '| 540x960 |' in page.read_text()


def test_a_stale_table_is_drawn_anew_and_the_prose_around_it_stays(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('Before.\n\n<!-- figures: attention -->\nold\n<!-- end -->\n\nAfter.\n')
    text = figures.redrawn(page)
    assert text.startswith('Before.\n\n<!-- figures: attention -->\n| network |')
    assert text.endswith('<!-- end -->\n\nAfter.\n') and 'old' not in text


def test_a_density_that_is_not_the_papers_is_noted():
    row = {'density': 0.118}
    assert drawings.note_of_density({'hrnet_w48': row}) == ''
    assert drawings.note_of_density({'hrnet_w48': row, 'segformer_b5': row}).endswith(
        "at another density than the paper's: segformer_b5.")


def test_the_summary_counts_the_papers_networks_that_are_faster_refined():
    rows = {'hrnet_w48': {'density': 0.118, 'ratio': 1.53},
            'segnext_l': {'density': 0.1, 'ratio': 0.5}}
    assert drawings.refined_summary({'rows': rows}) == (
        "Of the paper's networks, 1 of 2 are faster refined than at full resolution here "
        '(hrnet_w48 1.5 times faster, segnext_l takes 2.0 times as long).')


@pytest.mark.parametrize(('refined', 'full', 'words'), [
    ((0.53, 20), (0.54, 30), 'refining adds 3.0 points of mIoU, full resolution adds 4.0; refin'
     'ing is 1.5 times faster than full resolution: it trades accuracy for time.'),
    ((0.53, 20), (0.54, 10), 'refining takes 2.0 times as long as full resolution: it does not '
     'pay, full resolution is the better choice.'),
    ((0.49, 20), (0.495, 20.4), 'refining loses 1.0 points of mIoU, full resolution loses 0.5; '
     'refining takes as long as full resolution: it does not'),
    ((0.5, 20), (0.5, 30), 'refining adds 0.0 points of mIoU, full resolution adds 0.0; refining '
     'is 1.5 times faster than full resolution: it pays.')])
def test_the_gain_says_whether_refining_pays(refined, full, words):
    rows = {name: {'mean_iou': mean_iou, 'milliseconds': {'total': total}}
            for name, (mean_iou, total) in {'half': (0.5, 1), 'refined': refined,
                                            'full': full}.items()}
    assert words in drawings.gain(rows)


def test_engines_that_were_all_refused_are_drawn():
    assert '| 1 | 1 | 1 | - | - |' in drawings.engines(
        {'rows': [{'network': 'compact', 'failed': 'the self-check'}]})


def test_an_unknown_table_is_named(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('<!-- figures: nonsense -->\n<!-- end -->\n')
    with pytest.raises(ValueError, match="no table 'nonsense'; expected one of summary, camvid"):
        figures.redrawn(page)


def test_the_threshold_in_a_command_is_that_of_the_weights(monkeypatch):
    card = SimpleNamespace(alpha=0.123444)
    monkeypatch.setattr(figures, 'find_model', lambda name: [SimpleNamespace(card=card)])
    assert ' --alpha 0.1234 --check ' in figures.command('calibration_camvid')
