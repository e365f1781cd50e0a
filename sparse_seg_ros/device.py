# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which device and which arithmetic a model runs with, from the names that a user gives."""

from __future__ import annotations

import torch

from sparse_seg_ros.texts import cut

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def native_precisions() -> tuple[str, ...]:
    """Precisions that this CPU multiplies natively; any other is far slower."""
    return ('fp32', 'bf16') if torch.cpu._is_avx512_bf16_supported() else ('fp32',)


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """Return the context in which networks compute in a precision; none in fp32."""
    return torch.autocast(torch.device(device).type, PRECISIONS[precision],
                          enabled=precision != 'fp32')


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
