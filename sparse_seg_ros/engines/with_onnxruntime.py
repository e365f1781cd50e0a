# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
ONNX Runtime: the artefact is the .onnx file itself, run by the best provider there is.

On a CPU images and logits are shared with torch, not copied. On CUDA they are bound to torch's
memory, and the stream that was torch's at the start and the thread's own wait for one another;
that path is untested, because there was no GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.engines.contract import Outputs, Shape, as_outputs, check_shape

SUFFIX = '.onnx'
PRECISIONS = ('fp32', 'fp16')
INSTALL = "pip install -e '.[engines]', or on a Jetson the wheel named in doc/jetson.md"
PROVIDERS = {
    'cuda': ('TensorrtExecutionProvider', 'CUDAExecutionProvider'),
    'cpu': ('CPUExecutionProvider',),
}


def import_onnxruntime() -> Any:
    """Return the module; ImportError, with the cure, where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(f'engine onnxruntime needs the package onnxruntime ({error}); '
                          f'{INSTALL}, or set engine: torch') from None
    return onnxruntime


def version() -> str:
    """Return the version of ONNX Runtime."""
    return import_onnxruntime().__version__


def providers() -> str:
    """Return the providers that this build of ONNX Runtime has, in words."""
    return ', '.join(import_onnxruntime().get_available_providers())


def device_name(device: str) -> str:
    """Torch device -> name of the hardware, as a key knows it."""
    return torch.cuda.get_device_name(device) if device.startswith('cuda') else 'cpu'


def load(path: Path, device: str, shape: Shape, precision: str) -> OnnxRuntimeEngine:
    """.onnx file -> engine; ValueError where no provider runs on the device."""
    onnxruntime = import_onnxruntime()
    wanted = choose_providers(onnxruntime.get_available_providers(), device, path.parent)
    try:
        session = onnxruntime.InferenceSession(str(path), session_options(onnxruntime),
                                               providers=wanted)
    except errors(onnxruntime) as error:
        raise ValueError(f'onnxruntime {onnxruntime.__version__} does not take {path}: {error}'
                         ) from None
    provider = session.get_providers()[0]
    if device.startswith('cuda') and provider not in PROVIDERS['cuda']:
        raise ValueError(f'onnxruntime could not start a CUDA provider and offers {provider}; '
                         'install the onnxruntime-gpu of your CUDA version, or use device: cpu')
    return OnnxRuntimeEngine(session, device, shape,
                             f'onnxruntime {onnxruntime.__version__} {provider} {precision}')


def errors(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises; its exceptions have no base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return tuple(kind for kind in vars(state).values()
                 if isinstance(kind, type) and issubclass(kind, Exception))


def session_options(onnxruntime: Any) -> Any:
    """Return options: as many threads as torch, and no spinning, because torch needs the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3  # errors
    return options


def choose_providers(available: list[str], device: str, folder: Path) -> list:
    """Device -> providers in order of preference, of those available, with their options."""
    kind = 'cuda' if device.startswith('cuda') else 'cpu'
    found = [name for name in PROVIDERS[kind] if name in available]
    if not found:
        raise ValueError(
            f"onnxruntime here has no provider for {kind}, only {', '.join(available)}; install "
            'onnxruntime-gpu, or use device: cpu or engine: torch')
    if kind == 'cpu':
        return found
    index = torch.device(device).index or 0
    stream = str(torch.cuda.current_stream(device).cuda_stream)
    shared = {'device_id': str(index), 'user_compute_stream': stream}
    own = {'TensorrtExecutionProvider': {'trt_engine_cache_enable': '1',
                                         'trt_engine_cache_path': str(folder),
                                         'trt_timing_cache_enable': '1'}}
    return [(name, shared | own.get(name, {})) for name in found] + ['CPUExecutionProvider']


class OnnxRuntimeEngine:
    """(B, 3, h, w) float32 -> (B, C, h', w') float32 logits on the same device."""

    def __init__(self, session: Any, device: str, shape: Shape, about: str):
        self.session, self.device, self.shape, self.about = session, device, shape, about
        self.stream = torch.cuda.current_stream(device) if device.startswith('cuda') else None
        self.input, self.outputs = session.get_inputs()[0], session.get_outputs()

    def __call__(self, images: Tensor) -> Outputs:
        """(B, 3, h, w) -> (B, C, h', w'), and maps if the network returns some."""
        check_shape(self.about, self.shape, images)
        images = images.float().contiguous()
        if self.device.startswith('cuda'):
            return self.run_on_cuda(images)
        results = self.session.run([item.name for item in self.outputs],
                                   {self.input.name: images.numpy()})
        return as_outputs([torch.from_numpy(result) for result in results])

    def run_on_cuda(self, images: Tensor) -> Outputs:
        """Run on torch's memory, and on the session's stream."""
        results = [torch.empty(item.shape, dtype=torch.float32, device=images.device)
                   for item in self.outputs]
        binding = self.session.io_binding()
        for bind, item, tensor in ((binding.bind_input, self.input, images),
                                   *((binding.bind_output, item, result)
                                     for item, result in zip(self.outputs, results))):
            bind(item.name, 'cuda', images.device.index or 0, np.float32, tuple(tensor.shape),
                 tensor.data_ptr())
        own = torch.cuda.current_stream(images.device)
        self.stream.wait_stream(own)
        self.session.run_with_iobinding(binding)
        own.wait_stream(self.stream)
        return as_outputs(results)
