# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Running averages of weights that work in a short training, too.

After n steps the decay is at most (1 + n) / (10 + n), as in TensorFlow's and timm's averages.
Otherwise the first weights of a short training would be most of the average.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn


def highest_decay(steps: int) -> float:
    """Return the highest decay after this many steps."""
    return (1 + steps) / (10 + steps)


def average_from_the_start(decay: float) -> Callable[..., None]:
    """Return the running average of weights with a decay per step, lower in the first steps."""
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        get_ema_multi_avg_fn(min(decay, highest_decay(int(count))))(averaged, current, count)
    return update


class Norms:
    """The batch norms of a module, whose running statistics are averages of its views."""

    def __init__(self, module: nn.Module):
        self.momenta = {norm: norm.momentum for norm in module.modules()
                        if isinstance(norm, _BatchNorm) and norm.momentum is not None}

    def set_momenta(self, steps: int) -> None:
        """Let them follow faster than their own momentum in the first steps."""
        for norm, momentum in self.momenta.items():
            norm.momentum = max(momentum, 1 - highest_decay(steps))
