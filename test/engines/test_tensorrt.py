# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
TensorRT cannot run here: that it is asked for only by names that exist, and fails with a cure.

The names are looked for in the bindings' library, which can be installed without CUDA:
pip install --no-deps tensorrt-cu12-bindings. Nothing is downloaded here.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import TinyPooling

from sparse_seg_ros.engines import with_tensorrt
from sparse_seg_ros.engines.activation import Job, activate

OF_TENSORRT = {'trt', 'builder', 'network', 'config', 'cache', 'parser', 'runtime', 'plan',
               'context'}  # variables of with_tensorrt.py that hold objects of TensorRT


def names_used() -> set[str]:
    """Names of TensorRT in with_tensorrt.py: attributes of its objects, methods it overrides."""
    tree = ast.parse(Path(with_tensorrt.__file__).read_text())
    names = {'phase_start', 'phase_finish', 'step_complete', 'desc', 'serialize',
             'ignore_mismatch'}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            base = node.value
            while isinstance(base, ast.Attribute) and base.attr not in OF_TENSORRT:
                base = base.value
            if (base.id if isinstance(base, ast.Name) else getattr(base, 'attr', '')) \
                    in OF_TENSORRT:
                names.add(node.attr)
    return names - {'__init__', '__version__', 'plan', 'context', 'runtime'}


def test_the_names_are_found_in_the_source():
    assert {'Builder', 'OnnxParser', 'STRONGLY_TYPED', 'IProgressMonitor', 'execute_async_v3',
            'set_tensor_address', 'get_timing_cache', 'deserialize_cuda_engine', 'INPUT',
            'num_errors', 'progress_monitor', 'WORKSPACE'} <= names_used()


def test_every_name_exists_in_the_bindings():
    spec = importlib.util.find_spec('tensorrt_bindings') or importlib.util.find_spec('tensorrt')
    libraries = [] if spec is None else [
        path for folder in spec.submodule_search_locations or ()
        for path in Path(folder).glob('tensorrt*.so')]
    if not libraries:
        pytest.skip('the bindings of TensorRT are not installed')
    content = libraries[0].read_bytes()  # its strings may share their ends: ILogger, Logger
    assert [name for name in names_used() if name.encode() + b'\0' not in content] == []
    assert b'set_tensor_adress\0' not in content


def test_each_thread_has_a_context_whose_memory_no_other_stream_uses(monkeypatch):
    log = []

    class Context:
        def __init__(self):
            self.streams = set()
            log.append(self)

        def set_input_shape(self, *_):
            pass

        def get_tensor_shape(self, _):
            return 1, 5, 4, 4

        def set_tensor_address(self, *_):
            pass

        def execute_async_v3(self, stream):
            self.streams.add(stream)
            return True

    plan = SimpleNamespace(
        create_execution_context=Context, num_io_tensors=2,
        get_tensor_name=('images', 'logits').__getitem__, get_tensor_mode=lambda name: name)
    monkeypatch.setattr(torch.cuda, 'current_stream',
                        lambda _: SimpleNamespace(cuda_stream=threading.get_ident()))
    trt = SimpleNamespace(TensorIOMode=SimpleNamespace(INPUT='images'))
    engine = with_tensorrt.TensorRTEngine(trt, None, plan, (1, 3, 16, 16), 'toy')
    with ThreadPoolExecutor(2) as threads:
        barrier = threading.Barrier(2)
        for _ in range(2):
            list(threads.map(lambda _: barrier.wait() and engine(torch.zeros(1, 3, 16, 16)),
                             range(2)))
            list(threads.map(lambda _: engine(torch.zeros(1, 3, 16, 16)), range(4)))
    assert len(log) <= 2 and all(len(each.streams) == 1 for each in log)


def test_without_the_package_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(ImportError, match='engine tensorrt needs the package tensorrt .* JetPack'):
        with_tensorrt.version()


def test_on_a_cpu_it_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="needs a CUDA device, got 'cpu'; use engine: onnxrun"):
        with_tensorrt.device_name('cpu')
    monkeypatch.setattr(with_tensorrt, 'version', lambda: '10.3.0')
    with pytest.raises(ValueError, match='needs a CUDA device'):
        activate(Job(TinyPooling(11), 'tensorrt', (1, 3, 64, 96), 'fp16', 'cpu', (0.0,) * 3,
                     (1.0,) * 3, tmp_path))
