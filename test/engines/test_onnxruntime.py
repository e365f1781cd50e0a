# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime says what torch says, and names the cure where it cannot run."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import TinyLRFormer, TinyPooling, TinySegmenter
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.bench.onnxruntime_against_torch import Spread, enliven
from sparse_seg_ros.engines import export_onnx, with_onnxruntime
from sparse_seg_ros.engines.activation import Job, activate, load
from sparse_seg_ros.engines.network import EngineNetwork
from sparse_seg_ros.engines.operators import check_operators
from sparse_seg_ros.engines.self_check import make_images, make_reference
from sparse_seg_ros.methods.algm import Merging, apply
from sparse_seg_ros.methods.sparse_vit.windows import pruned_copy
from sparse_seg_ros.networks import padded_size, run_padded
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.efficientnet_lite import EfficientNetLite0
from sparse_seg_ros.networks.vit.options import ViTOptions

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

NETWORKS = {'compact': Compact, 'efficientnet_lite0': EfficientNetLite0,
            'lrformer': TinyLRFormer, 'segmenter': TinySegmenter, 'pooling': TinyPooling}
SIZE_HW, BATCH = (61, 90), 2  # no multiple of anything


def job_for(network, folder, precision='fp32', batch=1, size_hw=(64, 96)):
    shape = (batch, 3, *padded_size(network, size_hw))
    return Job(network, 'onnxruntime', shape, precision, 'cpu', (105.0, 108.0, 110.0),
               (70.0, 73.0, 72.0), folder)


def lively(kind, classes=11):
    torch.manual_seed(0)
    network = enliven(kind(classes))
    return Spread(network, torch.randn(1, 3, 64, 96)).eval()


@pytest.fixture(name='pooling', scope='module')
def build_pooling(tmp_path_factory):
    job = job_for(lively(TinyPooling), tmp_path_factory.mktemp('engines'))
    return job, activate(job)[0]


@pytest.mark.parametrize('name', NETWORKS)
def test_it_equals_torch_in_batches_of_images_of_any_size(name, tmp_path):
    network = lively(NETWORKS[name])
    job = job_for(network, tmp_path, batch=BATCH, size_hw=SIZE_HW)
    engine, agreement = activate(job)
    images = torch.randn(BATCH, 3, *SIZE_HW, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = run_padded(network, images)
        seen = run_padded(EngineNetwork(network, [engine], ['61x90']), images)
    assert seen.shape == expected.shape == (BATCH, 11, *SIZE_HW)
    assert (seen - expected).abs().max() < 1e-4  # of logits with a deviation of 1
    assert (seen.argmax(1) == expected.argmax(1)).float().mean() >= 0.999
    assert agreement.labels >= 0.999 and agreement.largest_difference < 1e-4
    assert seen.argmax(1).unique().numel() > 5  # or agreement would mean little


def test_logarithms_of_small_sigmoids_are_true(tmp_path):
    path = tmp_path / 'tail.onnx'
    export_onnx.write(LogSigmoid(), path, (1, 3, 4, 4), 'fp32')
    images = torch.linspace(-80, 20, 48).view(1, 3, 4, 4)
    seen = with_onnxruntime.load(path, 'cpu', (1, 3, 4, 4), 'fp32')(images)
    assert (seen - F.logsigmoid(images)).abs().max() < 1e-4


class LogSigmoid(nn.Module):
    """What Mask2Former's scores are made of."""

    def forward(self, images):
        return images.sigmoid().log()


def test_fp16_is_near_torch(tmp_path):
    _, agreement = activate(job_for(lively(TinyPooling, 3), tmp_path, 'fp16'))
    assert agreement.labels >= 0.99 and 1e-6 < agreement.mean_difference < 3e-3


def test_bf16_is_written_and_its_graph_checked_in_fp32(tmp_path):
    onnx = pytest.importorskip('onnx')
    network, path = lively(TinyPooling), tmp_path / 'bf16.onnx'
    reference = make_reference(network, torch.randn(1, 3, 64, 96))
    found = export_onnx.export(network, path, (1, 3, 64, 96), 'bf16', reference)
    assert found['onnx_labels_equal'] == 1 and found['onnx_largest_difference'] < 1e-4
    model = onnx.load(path)
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) == 4}
    assert kinds == {onnx.TensorProto.BFLOAT16} and model.opset_import[0].version == 22
    assert [node.op_type for node in model.graph.node].count('Cast') == 2


def test_images_in_any_memory_format_are_taken(pooling):
    _, engine = pooling
    images = torch.randn(1, 3, 64, 96)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(engine(images), engine(last))


def test_what_it_gave_is_not_overwritten_by_the_next(pooling):
    _, engine = pooling
    first = engine(torch.zeros(1, 3, 64, 96))
    kept = first.clone()
    engine(torch.ones(1, 3, 64, 96))
    assert torch.equal(first, kept)


@pytest.mark.parametrize('shape', [(1, 3, 64, 64), (2, 3, 64, 96)])
def test_another_size_or_batch_is_refused_with_what_it_was_built_for(pooling, shape):
    _, engine = pooling
    batch, _, height, width = shape
    with pytest.raises(ValueError) as caught:
        engine(torch.zeros(shape))
    assert 'built for network inputs of 64x96 in batches of 1, got network inputs of ' \
        f'{height}x{width} in batches of {batch}' in str(caught.value)
    assert 'sparse_seg export engine --model MODEL --engine ... --size HxW --batch N' in str(
        caught.value)


def test_a_file_of_its_own_is_loaded_and_checked(pooling):
    job, engine = pooling
    images = make_images(job.shape, job.mean, job.std)
    assert torch.equal(load(job.path)(images), engine(images))
    assert engine.about.startswith('onnxruntime ')
    assert engine.about.endswith(' CPUExecutionProvider fp32')


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no engine .*absent.onnx; build it with'):
        load(tmp_path / 'absent.onnx')


def test_a_file_that_is_not_onnx_is_refused(tmp_path):
    (tmp_path / 'text.onnx').write_text('hello')
    with pytest.raises(ValueError, match='onnxruntime .* does not take .*text.onnx'):
        with_onnxruntime.load(tmp_path / 'text.onnx', 'cpu', (1, 3, 8, 8), 'fp32')


def test_without_the_package_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r"needs the package onnxruntime .*pip install -e '\.\["):
        with_onnxruntime.version()


def test_without_the_exporter_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(ImportError, match='export to ONNX needs onnx and onnxscript'):
        export_onnx.trace(nn.Identity(), (1, 3, 8, 8), 18, ['logits'])


def test_providers_are_taken_in_order_of_speed(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'current_stream',
                        lambda device: SimpleNamespace(cuda_stream=7))
    available = ['CPUExecutionProvider', 'CUDAExecutionProvider', 'TensorrtExecutionProvider']
    first, second, last = with_onnxruntime.choose_providers(available, 'cuda:1', tmp_path)
    assert (first[0], second[0], last) == (
        'TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider')
    assert first[1]['device_id'] == second[1]['device_id'] == '1'
    assert first[1]['user_compute_stream'] == '7'
    assert with_onnxruntime.choose_providers(available, 'cpu', tmp_path) == [
        'CPUExecutionProvider']


def test_a_device_without_provider_is_refused(tmp_path):
    with pytest.raises(ValueError, match='no provider for cuda, only CPUExecutionProvider; inst'):
        with_onnxruntime.choose_providers(['CPUExecutionProvider'], 'cuda', tmp_path)


def test_averaging_matrices_pool_like_torch():
    generator = torch.Generator().manual_seed(0)
    for (height, width), (rows, columns) in [
            ((24, 32), (3, 5)), ((7, 5), (7, 2)), ((3, 4), (5, 9))]:
        x = torch.randn(2, 3, height, width, generator=generator)
        over_rows, over_columns = (torch.from_numpy(export_onnx.averaging(*sides)) for sides in
                                   ((height, rows), (width, columns)))
        torch.testing.assert_close(over_rows @ x @ over_columns.T,
                                   F.adaptive_avg_pool2d(x, (rows, columns)))


def test_an_operator_that_tensorrt_does_not_take_is_named():
    node = SimpleNamespace(domain='', op_type='Det', name='node_7')
    with pytest.raises(ValueError, match="node 'node_7' became the ONNX operator :Det, which is"):
        check_operators([node])
    with pytest.raises(ValueError, match='became the ONNX operator pkg.torch:Conv'):
        check_operators([SimpleNamespace(domain='pkg.torch', op_type='Conv', name='x')])


def test_on_a_gpu_the_streams_of_session_and_thread_wait_for_one_another(monkeypatch):
    log = []

    class Stream(str):
        def wait_stream(self, other):
            log.append(f'{self} waits for {other}')

    binding = SimpleNamespace(bind_input=lambda *_: None, bind_output=lambda *_: None)
    session = SimpleNamespace(
        get_inputs=lambda: [SimpleNamespace(name='images')],
        get_outputs=lambda: [SimpleNamespace(name='logits', shape=(1, 5, 4, 4))],
        io_binding=lambda: binding, run_with_iobinding=lambda _: log.append('run'))
    streams = iter(map(Stream, ('first', 'own')))
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda _: next(streams))
    engine = with_onnxruntime.OnnxRuntimeEngine(session, 'cuda', (1, 3, 16, 16), 'toy')
    engine(torch.zeros(1, 3, 16, 16))
    assert log == ['first waits for own', 'run', 'own waits for first']


@pytest.mark.parametrize('rule', ['adaptive', 'dtop', 'cts', None])
def test_a_network_that_chooses_what_it_computes_cannot_be_exported(rule, tmp_path):
    if rule:
        network = TinySegmenter(11).eval()
        network.add_options(ViTOptions(first_exit=1, policy='efficientnet_lite0'))
        apply(network, Merging((1, 2), rule=rule))
    else:
        from hugging_face import TinyMask2Former
        network = pruned_copy(TinyMask2Former(11).eval(), (0.5,) * 4)
    with pytest.raises(ValueError, match='merges or leaves out a part of it; export it with meth'):
        activate(job_for(network, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_says_something_else_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(export_onnx, 'averaging',
                        lambda length, cells: -np.ones((cells, length), np.float32))
    with pytest.raises(ValueError, match='exported ONNX file was removed: .* of the labels equal'):
        activate(job_for(lively(TinyPooling), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_exports_at_the_same_time_leave_loggers_and_warnings_as_they_were():
    log, inside, leave = logging.getLogger('of_others'), threading.Event(), threading.Event()
    before = list(warnings.filters)

    def export_another():
        with export_onnx.only_errors(log.name):
            inside.set()
            leave.wait(30)
    other = threading.Thread(target=export_another)
    with pytest.raises(KeyError), export_onnx.only_errors(log.name):
        assert log.level == logging.ERROR
        other.start()
        inside.wait(0.2)  # or it waits for the first
        raise KeyError
    assert inside.wait(30)
    leave.set()
    other.join(30)
    assert (log.level, warnings.filters) == (logging.NOTSET, before)
