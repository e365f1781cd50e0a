# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One training in several processes, as started by `torchrun`: sums over all of them.

In a single process nothing is sent and every function is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=3)  # of the others, while the first renders scenes or scores a model


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the other processes where torchrun started this one; give the device to use in it."""
    if int(os.environ.get('WORLD_SIZE', 1)) == 1:
        yield device
        return
    is_cuda = torch.device(device).type == 'cuda'
    if is_cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group('nccl' if is_cuda else 'gloo', timeout=PATIENCE)
    try:
        yield device
        dist.barrier()  # one that leaves while another still works may be aborted at its exit
    finally:
        dist.destroy_process_group()


def count_processes() -> int:
    """Return the number of processes of this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rank() -> int:
    """Return the number of this process, from 0 up."""
    return dist.get_rank() if count_processes() > 1 else 0


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process do something, then all others: they find what it wrote."""
    if own_rank() > 0:
        dist.barrier()
    yield
    if own_rank() == 0 and count_processes() > 1:
        dist.barrier()


def sum_over_processes(values: Tensor) -> Tensor:
    """(...) of every process -> their sum, in every process; gradients come back from all."""
    return values if count_processes() == 1 else _Sum.apply(values)


def mean_over_processes(values: Tensor) -> Tensor:
    """(...) of every process -> their mean, in every process."""
    return sum_over_processes(values) / count_processes()


class _Sum(torch.autograd.Function):
    """Every process has the same sum, so the gradients of all of them count for its values."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _Sum.forward(ctx, grad)
