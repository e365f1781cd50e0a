# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an artefact depends on, and that nothing else is ever loaded."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from sparse_seg_ros.engines import cache
from sparse_seg_ros.engines.cache import Key

KEY = Key(weights='a' * 64, engine='onnxruntime', engine_version='1.31', device='cpu',
          precision='fp32', batch=1, size_hw=(64, 96), exporter='2.13', package='0.1')
OTHER = {'weights': 'b' * 64, 'engine': 'tensorrt', 'engine_version': '1.32', 'device': 'Orin',
         'precision': 'fp16', 'batch': 2, 'size_hw': (64, 128), 'exporter': '2.14',
         'package': '0.2', 'format': cache.FORMAT + 1}


def store(folder, key=KEY, content=b'artefact'):
    return cache.store(key, folder, {
        '.onnx': lambda path: path.write_bytes(content) and {'found': 0.5},
        '.check.safetensors': lambda path: path.write_bytes(b'logits') and None}, {'tool': '1'})


def test_what_was_stored_is_found(tmp_path):
    path = store(tmp_path)
    assert cache.find(KEY, tmp_path, '.onnx') == path and path.read_bytes() == b'artefact'
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f'{KEY.stem}.check.safetensors', f'{KEY.stem}.onnx', f'{KEY.stem}.onnx.json']


def test_the_sidecar_says_what_the_artefact_is(tmp_path):
    content = json.loads(cache.sidecar_of(store(tmp_path)).read_text())
    assert content['key'] == {
        'weights': 'a' * 64, 'engine': 'onnxruntime', 'engine_version': '1.31', 'device': 'cpu',
        'precision': 'fp32', 'batch': 1, 'size_hw': [64, 96], 'exporter': '2.13',
        'package': '0.1', 'format': cache.FORMAT}
    assert set(content['hashes']) == {f'{KEY.stem}.onnx', f'{KEY.stem}.check.safetensors'}
    assert all(len(value) == 64 for value in content['hashes'].values())
    assert content['about'] == {'tool': '1', 'found': 0.5}


def test_all_parts_of_a_key_are_tried_below():
    assert set(OTHER) == {field.name for field in fields(Key)}


@pytest.mark.parametrize('part', OTHER)
def test_a_key_that_differs_in_one_part_is_a_miss_that_names_it(part, tmp_path, caplog):
    store(tmp_path)
    assert cache.find(replace(KEY, **{part: OTHER[part]}), tmp_path, '.onnx') is None
    message, = caplog.messages
    assert f"another {part.replace('_', ' ')} (" in message and message.count('another') == 1


def test_an_empty_folder_is_a_miss_that_says_so(tmp_path, caplog):
    assert cache.find(KEY, tmp_path / 'none', '.onnx') is None
    assert caplog.messages[0].endswith('/none holds none yet')


def test_a_new_version_takes_the_place_of_the_old(tmp_path):
    newer = replace(KEY, engine_version='1.32')
    assert store(tmp_path, newer, b'newer') == store(tmp_path)
    assert cache.find(KEY, tmp_path, '.onnx') and len(list(tmp_path.iterdir())) == 3
    assert cache.find(newer, tmp_path, '.onnx') is None


@pytest.mark.parametrize('suffix', ['.onnx', '.check.safetensors'])
def test_a_damaged_file_is_a_miss(suffix, tmp_path, caplog):
    store(tmp_path)
    file = tmp_path / f'{KEY.stem}{suffix}'
    file.write_bytes(file.read_bytes()[:-1])
    assert cache.find(KEY, tmp_path, '.onnx') is None
    assert f'{KEY.stem}{suffix} is damaged or not the one that' in caplog.messages[0]


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"key": {"weights": "x"}}',
                                  '{"key": {"size_hw": 3}, "hashes": {}, "about": {}}'])
def test_a_sidecar_that_is_none_is_a_miss(text, tmp_path, caplog):
    cache.sidecar_of(store(tmp_path)).write_text(text)
    assert cache.find(KEY, tmp_path, '.onnx') is None
    assert 'is not a sidecar of this version' in caplog.messages[0]


def test_an_artefact_without_sidecar_is_a_miss_and_an_error_when_named(tmp_path, caplog):
    path = store(tmp_path)
    cache.sidecar_of(path).unlink()
    assert cache.find(KEY, tmp_path, '.onnx') is None and 'is missing' in caplog.messages[0]
    with pytest.raises(FileNotFoundError, match='.onnx.json is missing, so nothing says what'):
        cache.read(path)


def test_a_write_that_fails_leaves_no_part_and_no_sidecar(tmp_path):
    store(tmp_path)

    def fail(path):
        path.write_bytes(b'half')
        raise OSError('no space left')
    with pytest.raises(OSError, match='no space left'):
        cache.store(KEY, tmp_path, {'.onnx': fail}, {})
    assert not list(tmp_path.glob('*.part')) and not list(tmp_path.glob('*.json'))
    assert cache.find(KEY, tmp_path, '.onnx') is None


def test_the_hash_of_weights_is_of_values_names_and_types():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    first = cache.weights_hash(network)
    assert cache.weights_hash(network.to(memory_format=torch.channels_last)) == first
    network[1].running_mean += 1e-6
    second = cache.weights_hash(network)
    assert len({first, second, cache.weights_hash(network.half()),
                cache.weights_hash(nn.Sequential(nn.Identity(), *network))}) == 4


def test_engines_are_kept_in_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache.default_folder() == tmp_path / 'sparse_seg_ros'
