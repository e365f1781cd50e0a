# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command train: on what there is, and one sentence where it can not begin."""

from __future__ import annotations

import pytest
import torch

from sparse_seg_ros.commands import main
from sparse_seg_ros.processes import count_processes

TRAINING = """
street_frames: 2
street_size_hw: [64, 96]
crop_hw: [48, 64]
batch_size: 2
epochs: 1
"""


@pytest.fixture(name='run')
def write_training(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    (tmp_path / 'my.yaml').write_text(f'{TRAINING}cache: {tmp_path}/cache\n')
    return lambda *options: main(['train', '--config', str(tmp_path / 'my.yaml'),
                                  '--out', str(tmp_path / 'run'), *options])


def test_it_trains_on_the_device_that_there_is_and_says_so(run, capsys):
    assert run() == 0 and count_processes() == 1
    said = capsys.readouterr().out
    assert '1 epochs of 1 steps; cpu in ' in said and 'run/model.safetensors' in said


@pytest.mark.parametrize('device', ['cuda', 'cuda:3', 'gpu', 'meta'])
def test_a_device_that_is_not_there_is_one_sentence(run, capsys, device):
    assert run('--device', device) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith('sparse_seg train: device') and '\n' not in said
