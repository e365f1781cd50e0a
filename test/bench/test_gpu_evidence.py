# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evidence of a GPU is collected step by step, within its time, and goes on where cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))
from bench.gpu_evidence import ROOT, STEPS, Evidence, Step, collect, run
from sparse_seg_ros.commands import main

MACHINE = {'device': 'some GPU', 'commit': 'abc'}
WRITES = ("import json, sys; open(sys.argv[2], 'w').write(json.dumps({'ms': 3})); "
          "open('{}', 'a').write('x')")


def python(code: str, writes_json: bool = False) -> Step:
    return Step((sys.executable, '-c', code), writes_json)


def read(path: Path) -> dict:
    return json.loads(path.read_text())['steps']


def test_figures_of_each_step_are_kept_and_no_success_is_repeated(tmp_path):
    result, runs = tmp_path / 'out.json', tmp_path / 'runs.txt'
    steps = {'good': python(WRITES.replace('{}', str(runs)), writes_json=True),
             'bad': python('import sys; print("it fails"); sys.exit(3)')}
    for _ in range(2):
        assert collect(steps, Evidence(result, MACHINE), tmp_path / 'logs', 60) == ['bad']
    assert runs.read_text() == 'x'
    assert read(result)['good']['figures'] == {'ms': 3}
    assert read(result)['bad']['exit_code'] == 3
    assert 'it fails' in (tmp_path / 'logs/bad.log').read_text()


@pytest.mark.parametrize('other', [{'device': 'another'}, {'commit': 'def'}])
def test_another_gpu_or_commit_begins_anew(tmp_path, other):
    steps = {'one': python('pass')}
    assert collect(steps, Evidence(tmp_path / 'out.json', MACHINE), tmp_path, 60) == []
    assert not Evidence(tmp_path / 'out.json', {**MACHINE, **other}).has('one')


def test_a_step_that_outlasts_the_limit_is_ended_and_no_other_begins(tmp_path, monkeypatch):
    monkeypatch.setattr('bench.gpu_evidence.LEAST_SECONDS', 0.5)
    steps = {'long': python('import time; time.sleep(60)'), 'next': python('pass')}
    result = tmp_path / 'out.json'
    assert collect(steps, Evidence(result, MACHINE), tmp_path, 1.5) == ['long', 'next']
    assert read(result)['long']['exit_code'] == 124 and 'next' not in read(result)


def test_the_weights_of_all_steps_are_named_as_in_other_files_of_figures(tmp_path):
    evidence = Evidence(tmp_path / 'out.json', MACHINE)
    model, full = ({'file': f'{name}.safetensors', 'sha256': name} for name in ('demo', 'full'))
    for name, weights in (('tests', None), ('model', {'refined': model}), ('sparse', None),
                          ('accuracy', {'refined': model, 'full': full})):
        evidence.add(name, {'figures': weights and {'weights': weights}, 'exit_code': 0})
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['weights'] == {'refined': model, 'full': full}


def test_a_step_that_outlasts_the_limit_may_end_what_it_has_started(tmp_path):
    ends = 'trap "sleep 0.5; echo all ended; exit 1" TERM; while :; do sleep 0.1; done'
    assert run('long', Step(('sh', '-c', ends), False), tmp_path, 1.5)['exit_code'] == 124
    assert (tmp_path / 'long.log').read_text() == 'all ended\n'


def test_results_that_are_written_into_the_checkout_do_not_begin_anew(tmp_path):
    steps, result = {'one': python('pass')}, tmp_path / 'out.json'
    assert collect(steps, Evidence(result, MACHINE), tmp_path, 60) == []
    assert Evidence(result, {**MACHINE, 'commit': 'abc+'}).has('one')


@pytest.mark.parametrize('name', [name for name, step in STEPS.items() if step.writes_json])
def test_the_options_of_each_step_exist(name, monkeypatch):
    words = STEPS[name].command[STEPS[name].command.index('sparse_seg_ros') + 1:]
    parsed = []
    monkeypatch.setattr('sparse_seg_ros.commands.keep_freed_memory', lambda: parsed.append(1) or
                        sys.exit(77))
    with pytest.raises(SystemExit, match='77'):
        main([*words, '--json', 'x.json'])


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_so():
    done = subprocess.run([sys.executable, '-m', 'bench.gpu_evidence'], cwd=ROOT, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 1 and 'no CUDA device' in done.stderr
