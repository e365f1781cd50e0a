# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every file of figures says about its origin: machine, commit and weights."""

from __future__ import annotations

import json

import cv2
import pytest
from tiny import tiny_model

from sparse_seg_ros.commands import main
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.machine import machine

ON_CPU = ('--device', 'cpu', '--precision', 'fp32')
COMMANDS = {
    'evaluate': ('--model', '{model}', '--street', '1', '--size', '64x96', *ON_CPU),
    'calibrate': ('--model', '{model}', '--frames', '{frames}/val', *ON_CPU),
    'bench': ('model', '--model', '{model}', '--size', '64x96', '--repeats', '1', *ON_CPU),
    'ablate': ('{plan}', '--street', '1', '--size', '64x96', '-o', '{folder}', *ON_CPU),
}


@pytest.fixture(scope='module')
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp('origin')
    model = folder / 'mine.safetensors'
    save_model(tiny_model(), model)
    plan = folder / 'plan.yaml'
    plan.write_text(f'variants:\n  mine: {{model: {model}}}\n')
    return {'folder': folder, 'model': model, 'plan': plan, 'frames': labelled_frames(folder)}


def labelled_frames(folder):
    frame = Street(seed=7, size_hw=(64, 96)).frame(0)
    cv2.imwrite(str(folder / 'image.png'), frame.image[..., ::-1])
    cv2.imwrite(str(folder / 'label.png'), frame.label)
    (folder / 'val.txt').write_text('image.png label.png\n')
    return folder


@pytest.mark.parametrize('verb', COMMANDS)
def test_figures_name_machine_commit_and_weights(verb, places):
    path = places['folder'] / f'{verb}.json'
    words = [word.format(**places) for word in COMMANDS[verb]]
    assert main([verb, *words, '--json', str(path)]) == 0
    figures = json.loads(path.read_text())
    assert {key: figures[key] for key in machine()} == machine()
    digest = file_hash(places['model'])
    assert figures['weights']
    for weights in figures['weights'].values():
        assert weights == {'file': 'mine.safetensors', 'sha256': digest}
