# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A method YAML names an engine; everything that loads a model then runs on it."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TinyPooling, TinySegmenter, randomise, street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.engines import activation, with_onnxruntime
from sparse_seg_ros.engines.network import WithMaps
from sparse_seg_ros.engines.with_torch import TorchEngine
from sparse_seg_ros.loading import dense_stage
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.loading.method_config import as_method
from sparse_seg_ros.loading.zoo import find_model
from sparse_seg_ros.networks import NETWORKS

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

ENGINE = 'engine: onnxruntime\nengine_sizes: [96x128]\nengine_folder: engines\n'


@pytest.fixture(name='folder', scope='module')
def save_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, 'pooling', TinyPooling)
        model = tiny_model(network='pooling')
        torch.nn.init.normal_(model.refiner.head.weight)
        save_model(model, folder / 'refines.safetensors')
        save_model(tiny_model(refines=False, network='pooling'), folder / 'dense.safetensors')
        yield folder


def write(folder, text, weights='dense'):
    method = 'dense' if weights == 'dense' else 'sparse_refine'
    path = folder / 'method.yaml'
    path.write_text(f'method: {method}\nweights: {weights}.safetensors\n{text}')
    return path


@pytest.mark.parametrize('weights', ['dense', 'refines'])
def test_a_method_on_onnxruntime_segments_like_one_on_torch(folder, weights):
    image = street_image()
    expected = ss.load(write(folder, '', weights), device='cpu', precision='fp32')(image)
    segment = ss.load(write(folder, ENGINE, weights), device='cpu', precision='fp32')
    seen = segment(image)
    assert (seen.labels == expected.labels).mean() > 0.999
    assert np.abs(seen.uncertainty - expected.uncertainty).max() < 1e-4
    assert segment.description['engine'].startswith('onnxruntime ')
    assert segment.description['engine check'].startswith('100.00% of the labels equal torch')
    assert 'fallback' not in segment.description and segment.sizes_hw == ((96, 128),)


def test_live_settings_go_on_working_on_an_engine(folder):
    segment = ss.load(write(folder, ENGINE, 'refines'), device='cpu')
    assert segment(street_image(), alpha=0.0).refined.all()
    segment = segment.with_temperature(3.0)
    assert segment(street_image(), alpha=0.0, budget=0.25).refined.mean() == 0.25


def test_an_image_of_another_size_is_refused_and_the_next_good_one_served(folder):
    segment = ss.load(write(folder, ENGINE), device='cpu')
    with pytest.raises(ValueError) as caught:
        segment(street_image(128, 192))
    assert 'was built for images of 96x128, and this one makes network inputs of 64x96 in ' \
        'batches of 1; add its size to engine_sizes' in str(caught.value)
    assert segment(street_image()).labels.shape == (96, 128)


def test_engines_for_two_sizes_serve_both(folder):
    text = ENGINE.replace('[96x128]', '[96x128, 64x160]')
    segment = ss.load(write(folder, text), device='cpu')
    assert segment(street_image()).labels.shape == (96, 128)
    assert segment(street_image(64, 160)).labels.shape == (64, 160)


@pytest.mark.parametrize(('text', 'words'), [
    ('engine: onnxruntime\n', 'needs to know the size of your images; add engine_sizes: [HxW]'),
    ('engine: onnxruntime\nengine_sizes: [96]\n', 'or null, such as [1024x2048], got [96]'),
    ('engine: onyx\n', "'engine' must be one of auto, torch, torch_compile, onnxruntime"),
    (f'{ENGINE}engine_failure: ignore\n', "'engine_failure' must be one of refuse, torch"),
])
def test_settings_that_cannot_be_meant_are_refused(folder, text, words):
    with pytest.raises(ValueError) as caught:
        ss.load(write(folder, text), device='cpu')
    assert words in str(caught.value)


def test_a_precision_that_the_engine_does_not_have_is_refused(folder):
    with pytest.raises(ValueError, match='onnxruntime computes in fp32 or fp16, not bf16; set'):
        ss.load(write(folder, f'{ENGINE}engine_failure: torch\n'), device='cpu',
                precision='bf16')


def lie(path, device, shape, precision):
    """Load a stand-in for an engine that went wrong: its logits have nothing to do with it."""
    return lambda images: torch.randn(1, 11, 24, 32, generator=torch.Generator().manual_seed(0))


def test_an_engine_that_lies_is_not_activated(folder, monkeypatch):
    ss.load(write(folder, ENGINE), device='cpu')
    monkeypatch.setattr(with_onnxruntime, 'load', lie)
    with pytest.raises(ValueError, match='self-check failed: .* labels equal torch'):
        ss.load(write(folder, ENGINE), device='cpu')


@pytest.mark.parametrize('break_it', [
    lambda patch: patch.setattr(activation.with_onnxruntime, 'load', lie),
    lambda patch: patch.setitem(sys.modules, 'onnxruntime', None)], ids=['lies', 'absent'])
def test_torch_takes_over_where_the_settings_say_so(folder, monkeypatch, caplog, break_it):
    break_it(monkeypatch)
    segment = ss.load(write(folder, f'{ENGINE}engine_failure: torch\n'), device='cpu')
    reason = segment.description['fallback']
    assert reason.startswith('engine onnxruntime: ') and reason in caplog.text
    assert segment.description['engine'].startswith('torch ') and segment.sizes_hw == ()
    assert segment(street_image(64, 80)).labels.shape == (64, 80)


def test_without_the_package_it_refuses_to_start(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match='needs the package onnxruntime .* or set engine: torch'):
        ss.load(write(folder, ENGINE), device='cpu')


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:-9]),
    lambda path: path.with_name(f'{path.name}.json').unlink()], ids=['damaged', 'no sidecar'])
def test_a_file_that_is_not_trusted_is_built_again(folder, damage, caplog):
    ss.load(write(folder, ENGINE), device='cpu')
    path, = (folder / 'engines').glob('*-1x48x64.onnx')
    whole = path.read_bytes()
    damage(path)
    segment = ss.load(write(folder, ENGINE), device='cpu')
    assert 'is built: ' in caplog.text
    assert len(path.read_bytes()) == len(whole)
    assert segment(street_image()).labels.shape == (96, 128)


def test_export_builds_what_the_method_then_finds(folder, caplog, capsys):
    method = write(folder, ENGINE.replace('engines', 'exported'))
    assert main(['export', 'engine', '--model', str(method), '--engine', 'onnxruntime',
                 '--device', 'cpu']) == 0
    line, = capsys.readouterr().out.splitlines()
    assert line.endswith(' at most') and '100.00% of the labels equal torch' in line
    assert Path(line.partition(':')[0]).is_file()
    caplog.clear()
    ss.load(method, device='cpu')
    assert 'is built' not in caplog.text
    assert main(['export', 'engine', '--model', str(method), '--engine', 'onnxruntime',
                 '--build-only', '--size', '96x128', '-o', str(folder / 'exported')]) == 0
    assert capsys.readouterr().out.endswith('MB, not loaded\n')


def test_export_is_a_function_too(folder):
    segment = ss.load(write(folder, ''), device='cpu', precision='fp32')
    path = ss.export(segment, folder / 'engines', size_hw=(96, 128))
    assert activation.load(path).shape == (1, 3, 48, 64)
    assert callable(ss.export)  # and not the module that it comes from
    with pytest.raises(ValueError, match='runs on an engine already; load it with engine: torch'):
        ss.export(ss.load(write(folder, ENGINE), device='cpu'), folder)
    with pytest.raises(ValueError, match='batch must be at least 1, got 0'):
        ss.export(segment, folder, batch=0)


@pytest.mark.parametrize(('options', 'words'), [
    (['--engine', 'onnxruntime'], 'built for one size of images; name it: --size HxW'),
    (['--engine', 'onnxruntime', '--size', '96'], "--size must be HxW, like 1024x2048, got '96'"),
    (['--engine', 'tensorrt', '--size', '96x128', '--device', 'cpu'], 'tensorrt'),
])
def test_export_of_an_engine_says_what_is_missing(folder, options, words, capsys):
    assert main(['export', 'engine', '--model', str(folder / 'dense.safetensors'), *options]) == 1
    assert words in capsys.readouterr().err


def test_where_compiling_fails_the_network_runs_eagerly_and_the_log_says_so(monkeypatch, caplog):
    network = TinyPooling(11).eval()

    def refuse(images):
        raise RuntimeError('no C++ compiler\nand more')
    monkeypatch.setattr(torch, 'compile', lambda network, dynamic: refuse)
    engine = TorchEngine(network, is_compiled=True)
    images = torch.randn(1, 3, 16, 24)
    assert engine.about.startswith('torch.compile ')
    with torch.inference_mode():
        assert torch.equal(engine(images), network(images))
        assert torch.equal(engine(images), network(images))
    assert caplog.text.count('torch.compile failed (no C++ compiler); the network runs') == 1
    assert engine.about.startswith('torch ') and engine.multiple == network.multiple


def test_compiling_that_fails_is_an_engine_that_cannot_be_had(folder, monkeypatch):
    def refuse(images):
        raise RuntimeError('no C++ compiler')
    monkeypatch.setattr(torch, 'compile', lambda network, dynamic: refuse)
    text = 'engine: torch_compile\nengine_sizes: [96x128]\n'
    with pytest.raises(ValueError, match='install a C[+][+] compiler, or set engine: torch'):
        ss.load(write(folder, text), device='cpu')
    segment = ss.load(write(folder, f'{text}engine_failure: torch\n'), device='cpu')
    assert 'no C++ compiler' in segment.description['fallback']


@pytest.mark.parametrize('winner', ['torch', 'onnxruntime'])
def test_auto_takes_the_engine_that_was_faster(folder, monkeypatch, winner):
    monkeypatch.setattr(dense_stage, 'interleaved', lambda rivals, repeats: {
        name: 0.1 if name == winner else 0.2 for name in rivals})
    segment = ss.load(write(folder, ENGINE.replace('onnxruntime', 'auto')), device='cpu')
    assert segment.description['engine'].startswith(f'{winner} ')
    assert segment(street_image()).labels.shape == (96, 128)


def test_a_method_that_changes_its_network_runs_on_torch_however_fast_others_are(
        folder, monkeypatch):
    monkeypatch.setattr(dense_stage, 'interleaved', lambda rivals, repeats: {
        name: 0.1 if name == 'onnxruntime' else 0.2 for name in rivals})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, 'segmenter_t', TinySegmenter)
        save_model(tiny_model(refines=False, network='segmenter_t', scale=1.0),
                   folder / 'segmenter.safetensors')
        text = f'method: algm\nweights: segmenter.safetensors\nmerge_layers: [1, 2]\n{ENGINE}'
        path = folder / 'algm.yaml'
        path.write_text(text.replace('onnxruntime', 'auto'))
        segment = ss.load(path, device='cpu')
        assert segment.description['engine'].startswith('torch ')
        assert segment(street_image()).labels.shape == (96, 128)
        for engine in ('onnxruntime', 'tensorrt', 'torch_compile'):
            path.write_text(text.replace('onnxruntime', engine))
            with pytest.raises(ValueError, match=f"'algm' needs engine torch, got '{engine}'; wr"):
                ss.load(path, device='cpu')


def test_auto_times_both_engines_for_real(folder, caplog):
    caplog.set_level('INFO')
    ss.load(write(folder, ENGINE.replace('onnxruntime', 'auto')), device='cpu')
    assert re.search('takes torch [0-9]+ ms and onnxruntime [0-9]+ ms', caplog.text)


def test_auto_is_torch_where_onnxruntime_is_missing_or_no_size_is_known(folder, monkeypatch):
    assert ss.load(write(folder, ''), device='cpu').description['engine'].startswith('torch ')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    text = ENGINE.replace('onnxruntime', 'auto')
    assert ss.load(write(folder, text), device='cpu').description['engine'].startswith('torch ')


def test_an_engine_gives_the_maps_that_a_sparse_network_asks_for(folder):
    model = tiny_model(network='mobilenet_edgetpu', planes=(16, 24, 40, 128), inputs=('rgb',),
                       extractor='network', mean=(128.,) * 3, std=(128.,) * 3)
    model.refiner.extractor.begin_as(randomise(model.network))
    save_model(model, folder / 'network.safetensors')
    path = folder / 'network.yaml'
    settings = 'method: sparse_refine\nweights: network.safetensors\nalpha: 0\nbudget: 0.4\n'
    path.write_text(settings)
    expected = ss.load(path, device='cpu', precision='fp32')(street_image())
    path.write_text(settings + ENGINE)
    seen = ss.load(path, device='cpu', precision='fp32')(street_image())
    assert 0 < expected.refined.mean() < 1
    assert (seen.refined == expected.refined).mean() > 0.999
    assert (seen.labels == expected.labels).mean() > 0.999
    config = replace(find_model(path)[1], scale=model.card.scale)
    jobs = {method: dense_stage.list_jobs(model, as_method(method, config), 'cpu', 'fp32')[0]
            for method in ('sparse_refine', 'dense')}
    assert isinstance(jobs['sparse_refine'].network, WithMaps)
    assert jobs['dense'].network is model.network  # no maps for a method that asks for none
