# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
TensorRT 10 and 11: ONNX file -> serialised engine, and its execution on torch's memory.

IT IS UNTESTED: no machine with CUDA and TensorRT was at hand. It follows NVIDIA's Python API
reference; every name was looked up in the bindings of 10.3, 10.16 and 11.4. Networks are strongly
typed (the graph says the precision): TensorRT 11 has no builder flags for fp16 and bf16 any more,
and 10 takes the same graph. Shapes are fixed, so there is no optimisation profile.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from threading import Lock, local
from typing import Any

import torch
from torch import Tensor

from sparse_seg_ros.engines.cache import write_whole
from sparse_seg_ros.engines.contract import LOGITS, Outputs, Shape, as_outputs, check_shape

LOG = logging.getLogger(__name__)
SUFFIX = '.plan'
PRECISIONS = ('fp32', 'fp16', 'bf16')
WORKSPACE_BYTES = 1 << 30
TIMING_CACHE = 'tensorrt-{version}-{device}.timing'
PROGRESS_SECONDS = 5.0


def import_tensorrt() -> Any:
    """Return the module; ImportError, with the cure, where it is not installed."""
    try:
        import tensorrt
    except ImportError as error:
        raise ImportError(
            f'engine tensorrt needs the package tensorrt ({error}); it comes with JetPack '
            '(doc/jetson.md), on a PC: pip install tensorrt; or set engine: onnxruntime or torch'
        ) from None
    return tensorrt


def version() -> str:
    """Return the version of TensorRT."""
    return import_tensorrt().__version__


def device_name(device: str) -> str:
    """Torch device -> name and compute capability of the GPU; ValueError where it is none."""
    if not device.startswith('cuda'):
        raise ValueError(f'engine tensorrt needs a CUDA device, got {device!r}; use engine: '
                         'onnxruntime or torch there')
    major, minor = torch.cuda.get_device_capability(device)
    return f'{torch.cuda.get_device_name(device)} sm_{major}{minor}'


def build(onnx_path: Path, path: Path, precision: str, device: str) -> dict[str, Any]:
    """ONNX file -> serialised engine at path, and what is worth noting; minutes on an Orin."""
    trt = import_tensorrt()
    logger, start = trt.Logger(trt.Logger.WARNING), time.monotonic()
    builder = trt.Builder(logger)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parse(trt, network, logger, onnx_path)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.progress_monitor = make_monitor(trt)
    if precision == 'fp32':
        config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32
    timings = path.parent / TIMING_CACHE.format(version=trt.__version__,
                                                device=device_name(device).replace(' ', '-'))
    cache = config.create_timing_cache(timings.read_bytes() if timings.is_file() else b'')
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError(f'TensorRT {trt.__version__} could not build {onnx_path}; its own '
                         'messages are above')
    path.write_bytes(plan)
    write_whole(timings, lambda part: part.write_bytes(config.get_timing_cache().serialize())
                and None)
    return {'build_seconds': round(time.monotonic() - start, 1)}


def parse(trt: Any, network: Any, logger: Any, path: Path) -> None:
    """Read an ONNX file into a network; ValueError with all that the parser has to say."""
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        errors = '; '.join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ValueError(f'TensorRT {trt.__version__} does not take {path}: {errors}')


def make_monitor(trt: Any) -> Any:
    """Return an IProgressMonitor that logs how far a build is, every few seconds."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.logged_seconds = time.monotonic()

        def phase_start(self, phase_name, parent_phase, num_steps):
            self.steps[phase_name] = num_steps

        def phase_finish(self, phase_name):
            self.steps.pop(phase_name, None)

        def step_complete(self, phase_name, step):
            if time.monotonic() - self.logged_seconds >= PROGRESS_SECONDS:
                self.logged_seconds = time.monotonic()
                LOG.info('TensorRT builds: %s, step %d of %d', phase_name, step,
                         self.steps.get(phase_name, 0))
            return True  # go on

    return Monitor()


def load(path: Path, device: str, shape: Shape, precision: str) -> TensorRTEngine:
    """Serialised engine -> engine; ValueError if this TensorRT or GPU does not take it."""
    trt, name = import_tensorrt(), device_name(device)
    with torch.cuda.device(device):
        runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        plan = runtime.deserialize_cuda_engine(path.read_bytes())
    if plan is None:
        raise ValueError(f'TensorRT {trt.__version__} on {name} does not take {path}; build it '
                         'again with `sparse_seg export engine`')
    return TensorRTEngine(trt, runtime, plan, shape, f'tensorrt {trt.__version__} {precision}')


class TensorRTEngine:
    """(B, 3, h, w) float32 -> (B, C, h', w') float32 logits on the same device."""

    def __init__(self, trt: Any, runtime: Any, plan: Any, shape: Shape, about: str):
        self.runtime, self.plan = runtime, plan  # the plan needs its runtime alive
        self.own, self.lock = local(), Lock()
        self.shape, self.about = shape, about
        names = [plan.get_tensor_name(index) for index in range(plan.num_io_tensors)]
        is_input = [plan.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names]
        self.input = names[is_input.index(True)]
        self.outputs = sorted((name for name, is_in in zip(names, is_input) if not is_in),
                              key=lambda name: (name != LOGITS, len(name), name))

    @property
    def context(self) -> Any:
        """The calling thread's context, whose memory serves the thread's stream alone."""
        if not hasattr(self.own, 'context'):
            with self.lock:
                self.own.context = self.plan.create_execution_context()
        return self.own.context

    def __call__(self, images: Tensor) -> Outputs:
        """(B, 3, h, w) -> (B, C, h', w'), and maps, on torch's current stream, without a copy."""
        check_shape(self.about, self.shape, images)
        images = images.float().contiguous()
        self.context.set_input_shape(self.input, tuple(images.shape))
        results = [torch.empty(tuple(self.context.get_tensor_shape(name)), dtype=torch.float32,
                               device=images.device) for name in self.outputs]
        for name, tensor in zip((self.input, *self.outputs), (images, *results)):
            self.context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream(images.device).cuda_stream
        if not self.context.execute_async_v3(stream):
            raise RuntimeError(f'{self.about} failed to run; its own messages are above')
        return as_outputs(results)
