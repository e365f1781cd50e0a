# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far rounding may take a result from the exact one, on any processor."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def assert_rounded(got: Tensor, exact: Tensor, additions: int) -> None:
    """
    Assert that `got` differs from the float64 result `exact` only by rounding.

    A sum of n terms is off by at most n eps times the sum of their magnitudes, in whatever order
    it is taken (Higham, Accuracy and Stability of Numerical Algorithms, 4.2), and by far less
    where they differ in sign. additions: n, added up over the sums that follow one another;
    the largest value of the result stands for the magnitudes.
    """
    assert exact.dtype == torch.float64 and got.shape == exact.shape
    assert got.isfinite().all()
    bound = additions * torch.finfo(got.dtype).eps * float(exact.detach().abs().max())
    error = float((got.detach().double() - exact.detach()).abs().max())
    assert error <= bound, f'off by {error:.3g}, rounding of {additions} additions is {bound:.3g}'


def count_additions(module: nn.Module) -> int:
    """Terms of the sums that follow one another in a chain of convolutions and products."""
    return sum(weight[0].numel() if weight.ndim != 3 else weight[..., 0].numel()
               for weight in module.parameters() if weight.ndim > 1)
