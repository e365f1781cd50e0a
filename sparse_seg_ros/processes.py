# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One training in several processes, as started by `torchrun`: sums over all of them.

In a single process nothing is sent and every function is the identity.
"""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def count_processes() -> int:
    """Return the number of processes of this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rank() -> int:
    """Return the number of this process, from 0 up."""
    return dist.get_rank() if count_processes() > 1 else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """(...) of every process -> their sum, in every process; gradients come back from all."""
    if count_processes() == 1:
        return values
    from torch.distributed.nn.functional import all_reduce  # not in every build of torch
    return all_reduce(values)


def mean_over_processes(values: Tensor) -> Tensor:
    """(...) of every process -> their mean, in every process."""
    return sum_over_processes(values) / count_processes()
