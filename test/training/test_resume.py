# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A run goes on as the run that it was, says so, and survives power cuts and full disks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.record import Record, duration, refuse_others
from sparse_seg_ros.training.state import read_state, write_state
from sparse_seg_ros.yaml_files import read_yaml


@pytest.fixture(name='config')
def make_config(tmp_path_factory):
    return TrainConfig(street_frames=4, street_size_hw=(64, 96), crop_hw=(48, 64), batch_size=2,
                       epochs=1, precision='fp32',
                       cache=str(tmp_path_factory.getbasetemp() / 'cache'))


@pytest.fixture(name='run', scope='module')
def train_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    train(TrainConfig(street_frames=4, street_size_hw=(64, 96), crop_hw=(48, 64), batch_size=2,
                      epochs=1, precision='fp32', validation_streets=1,
                      cache=str(tmp_path_factory.getbasetemp() / 'cache')), folder, 'cpu')
    return folder


@pytest.mark.parametrize(('change', 'words'), [
    ({'learning_rate': 0.01}, 'was trained with learning_rate 0.001, now 0.01: keep its settings'),
    ({'seed': 1}, 'was trained with seed 0, now 1'),
    ({'network': 'efficientnet_lite0'}, "with network 'compact', now 'efficientnet_lite0'"),
])
def test_a_run_does_not_go_on_with_other_settings(run, config, change, words):
    kept = (run / 'config.yaml').read_text()
    with pytest.raises(ValueError, match=words):
        train(replace(config, **change), run, 'cpu')
    assert (run / 'config.yaml').read_text() == kept


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path, config):
    (tmp_path / 'config.yaml').write_text(
        "alpha_nats: 0.3\nstart_from: ''\ndrop_path: -1.0\nmerge_rule: none\nsecond_scale: 0.0\n"
        'split_networks: []\nwarmup_steps: 0\nlearning_rate: 0.5\n')
    with pytest.raises(ValueError) as caught:
        refuse_others(tmp_path, TrainConfig(alpha=0.4, start_from='demo'))
    told = str(caught.value)
    assert 'alpha 0.3, now 0.4; ' in told and "start_from None, now 'demo'" in told
    assert 'learning_rate 0.5, now 0.001' in told
    for name in ('drop_path', 'merge_rule', 'second_scale', 'out_of_fold', 'warmup'):
        assert name not in told


def test_a_run_that_never_ended_an_epoch_may_begin_with_others(tmp_path, config):
    (tmp_path / 'config.yaml').write_text('seed: 7\n')
    train(config, tmp_path, 'cpu')
    assert read_yaml(tmp_path / 'config.yaml')['seed'] == 0


def test_a_run_says_what_it_is_where_it_goes_on_and_how_long_it_takes(tmp_path, config, capsys):
    train(replace(config, epochs=1), tmp_path, 'cpu')
    begun = capsys.readouterr().out
    assert 'dense: compact for 11 classes, 3.03 of 3.03 million parameters learn; 4 frames, ' \
        '1 epochs of 2 steps; cpu in fp32' in begun and f'begins in {tmp_path}' in begun
    train(replace(config, epochs=3, validation_streets=1), tmp_path, 'cpu')
    said = capsys.readouterr().out
    assert f'{tmp_path} resumes at epoch 2; validation_streets 0, now 1; epochs 1, now 3' in said
    assert 'epoch 2/3: loss ' in said and '; about ' in said and ' left' in said
    last = next(line for line in said.splitlines() if line.startswith('epoch 3/3'))
    assert 'left' not in last
    metrics = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    assert f"val mIoU {100 * metrics[-1]['val_miou']:.1f}" in last and 'refined' not in last
    assert all(len(str(line['rate'])) < 12 for line in metrics)
    train(replace(config, epochs=3, validation_streets=1), tmp_path, 'cpu')
    assert f'{tmp_path} is done after epoch 3' in capsys.readouterr().out


def test_no_epoch_stands_twice_and_a_cut_line_is_dropped(tmp_path, config):
    lines = ['{"epoch": 1, "loss": 2.0}', '{"epoch": 2, "loss": 1.0}', '{"epoch": 3, "lo']
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(lines))
    record = Record(tmp_path, config, 'fp32', epoch=1)
    record.add(2, {'loss': 0.5})
    kept = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    assert [(line['epoch'], line['loss']) for line in kept] == [(1, 2.0), (2, 0.5)]


@pytest.mark.parametrize('size', [0, 100, 10_000])
def test_a_torn_state_is_told_from_a_fault_of_the_system(tmp_path, run, config, size):
    (tmp_path / 'last.pt').write_bytes((run / 'last.pt').read_bytes()[:size])
    with pytest.raises(ValueError, match='last.pt is damaged .* delete it to begin again, or'):
        train(config, tmp_path, 'cpu')


def test_a_state_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr(torch, 'load', refuse)
    with pytest.raises(PermissionError):
        read_state(tmp_path / 'last.pt')


def test_a_full_disk_is_one_sentence_and_leaves_the_last_state(tmp_path):
    resource = pytest.importorskip('resource')
    path, limits = tmp_path / 'last.pt', resource.getrlimit(resource.RLIMIT_FSIZE)
    write_state({'epoch': 1}, path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # of a file, as a full disk is
    try:
        with pytest.raises(OSError, match='last.part can not be written .* is the disk full?'):
            write_state({'epoch': 2, 'trained': torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_state(path) == {'epoch': 1}
    assert list(tmp_path.iterdir()) == [path]


def test_times_are_said_in_the_unit_that_fits():
    assert [duration(seconds) for seconds in (9.2, 90, 3725)] == ['9 s', '2 min', '1 h 2 min']


def test_without_cuda_a_run_on_it_is_refused_in_one_sentence(tmp_path, config, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' asked for, but torch finds no CUDA here"):
        train(config, tmp_path, 'cuda')
