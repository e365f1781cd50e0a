# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the bytes of an image to the input of a network, in one pass over the memory."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sparse_seg_ros.kernels.softmax import ERRORS, check_equal

__all__ = ['ERRORS', 'check', 'normalise']
BLOCK = 1024


def normalise(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype) -> Tensor:
    """
    (B, H, W, 3) uint8 RGB, mean and std of 3 float32 -> (B, 3, H, W), channels last in memory.

    Bit for bit what torch has in float32, or that rounded once.
    """
    images = images.contiguous()
    out = torch.empty(images.shape, dtype=dtype, device=images.device)
    if images.numel():
        with torch.cuda.device_of(images):
            _normalise[(triton.cdiv(images.numel(), BLOCK),)](
                images, mean.flatten(), std.flatten(), out, images.numel(), BLOCK=BLOCK)
    return out.movedim(-1, 1)


def check(device: str) -> None:
    """Normalise a small image; RuntimeError where torch has another result."""
    images = torch.arange(90, dtype=torch.uint8, device=device).view(1, 5, 6, 3)
    mean, std = (torch.tensor(three, device=device) for three in ((3., 50., 99.), (7., 1., .5)))
    got = normalise(images, mean, std, torch.float32)
    check_equal(got.movedim(1, -1), (images.float() - mean) / std)


@triton.jit
def _normalise(images, mean, std, out, count, BLOCK: tl.constexpr):  # noqa: N803
    """One block of values, channel after channel."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_there, channel = place < count, place % 3
    level = tl.load(images + place, is_there, 0).to(tl.float32)
    value = tl.div_rn(level - tl.load(mean + channel), tl.load(std + channel))
    tl.store(out + place, value.to(out.dtype.element_ty), is_there)
