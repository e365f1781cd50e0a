# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which device and which arithmetic a model runs with, from the names that a user gives."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.texts import cut

OWN = threading.local()  # streams, by device
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def native_precisions() -> tuple[str, ...]:
    """Precisions that this CPU multiplies natively; any other is far slower."""
    return ('fp32', 'bf16') if torch.cpu._is_avx512_bf16_supported() else ('fp32',)


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """Return the context in which networks compute in a precision; none in fp32."""
    return torch.autocast(torch.device(device).type, PRECISIONS[precision],
                          enabled=precision != 'fp32')


def own_stream(device: torch.device) -> AbstractContextManager:
    """
    Return the context of the calling thread's own stream of a GPU; a CPU has none.

    Copies for a frame of one thread then go on while the kernels of another thread's run.
    """
    if device.type != 'cuda':
        return nullcontext()
    streams = OWN.__dict__.setdefault('streams', {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)
    stream = streams[device]
    stream.wait_stream(torch.cuda.current_stream(device))  # for what the caller has begun
    return torch.cuda.stream(stream)


def upload(pixels: np.ndarray, device: torch.device) -> Tensor:
    """uint8 array -> the same on a GPU, through pinned memory, so that the host does not wait."""
    host = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
    np.copyto(host.numpy(), pixels)
    return host.to(device, non_blocking=True)


def download(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """(1, H, W) tensors of one device by name -> (H, W) arrays; the host waits once for all."""
    arrays = {name: tensor[0].to('cpu', non_blocking=True) for name, tensor in tensors.items()}
    if any(tensor.is_cuda for tensor in tensors.values()):
        torch.cuda.current_stream().synchronize()
    return {name: array.numpy() for name, array in arrays.items()}


def choose_device(name: str) -> str:
    """'auto' -> 'cuda' where there is one, else 'cpu'; any other torch device is checked."""
    if name == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f'device must be auto, cpu, cuda or cuda:N, got '
                         f'{cut(repr(name))}') from None
    if device.type not in ('cpu', 'cuda'):
        raise ValueError(f'device must be auto, cpu, cuda or cuda:N, got '
                         f'{cut(repr(name))}')
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device {name!r} asked for, but torch finds no CUDA here; use cpu or '
                         'install the CUDA build of torch')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f'device {name!r} asked for, but there are {torch.cuda.device_count()} '
                         'here, counted from 0; use another')
    return name


def choose_precision(name: str, device: str) -> str:
    """'auto' -> fp16 on CUDA, bf16 on a CPU that multiplies it natively, else fp32."""
    if name == 'auto':
        if device != 'cpu':
            return 'fp16'
        return native_precisions()[-1]
    if name not in PRECISIONS:
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)}; got "
                         f'{cut(repr(name))}')
    return name
