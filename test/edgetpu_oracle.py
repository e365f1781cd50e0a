# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DeepLab on MobileNet-EdgeTPU-slim written out along its released graph."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from layers_oracle import draw
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.networks.mobilenet_edgetpu import BLOCKS, WITHOUT_SHORTCUT, Encoder

DATA = Path(os.environ.get('SPARSE_SEG_DATA', Path(__file__).parents[2] / 'shared' / 'data'))
RELEASED = DATA.parent / 'weights' / 'deeplab_edgetpu_slim_cityscapes.safetensors'


def released_tensors() -> dict[str, Tensor]:
    """Random weights under the released names, the classifier's among them."""
    shapes = {Encoder.released_name(key): tuple(tensor.shape)
              for key, tensor in Encoder().state_dict().items()}
    return draw(shapes | {'209.weight': (19, 128, 1, 1), '209.bias': (19,)})


def literal(x: Tensor, t: dict[str, Tensor]) -> list[Tensor]:
    """(B, 3, H, W) -> what steps 70, 89, 108 and 207 give, by the numbers of the graph."""
    maps, step = [], 70
    x = conv(conv(x, t, 68, 2).relu(), t, 70)
    maps.append(x)
    for place, (_, _, _, stride, dilation, is_fused) in enumerate(BLOCKS):
        y = conv(x, t, step + 2, stride if is_fused else 1).relu()
        if not is_fused:
            step += 2
            y = conv(y, t, step + 2, stride, dilation).relu()
        y, step = conv(y, t, step + 4), step + 4
        if place not in WITHOUT_SHORTCUT:
            y, step = y + x, step + 1
        x = y
        if step in (89, 108):
            maps.append(x)
    assert step == 195
    x = conv(x, t, 197).relu()
    pooled = conv(x.mean((2, 3), keepdim=True), t, 202).relu().expand(-1, -1, *x.shape[2:])
    return [*maps, conv(torch.cat((pooled, conv(x, t, 200).relu()), 1), t, 207).relu()]


def conv(x: Tensor, t: dict[str, Tensor], step: int, stride: int = 1, dilation: int = 1) -> Tensor:
    """
    Convolution around every stride-th row and column from the first: ceil(size / stride) outputs.

    Padding 'same' of TensorFlow where sizes are odd, as all are in the release.
    """
    weight, bias = t[f'{step}.weight'].double(), t[f'{step}.bias'].double()
    pads = []
    for side, kernel in zip(x.shape[:1:-1], weight.shape[:1:-1]):  # columns first
        before = (kernel - 1) * dilation // 2
        last = (-(-side // stride) - 1) * stride
        pads += [before, max(last + before + 1 - side, 0)]
    return F.conv2d(F.pad(x, pads), weight, bias, stride, 0, dilation,
                    x.shape[1] // weight.shape[1])


def literal_logits(x: Tensor, t: dict[str, Tensor]) -> Tensor:
    """(B, 3, H, W) -> (B, 19, H, W): bilinear between corners, the image as if of 16 k + 1."""
    height, width = x.shape[2:]
    rows, columns = (torch.arange(-(-(side - 1) // 16) * 16 + 1) for side in (height, width))
    x = x[:, :, rows.clamp(max=height - 1)][..., columns.clamp(max=width - 1)]
    small = conv(literal(x, t)[-1], t, 209)
    return torch.einsum('Hh,bchw,Ww->bcHW', tents(rows[:height], small.shape[2]), small,
                        tents(columns[:width], small.shape[3]))


def tents(pixels: Tensor, count: int) -> Tensor:
    """(n,) -> (n, count) shares of values that lie 16 pixels apart, from the first pixel on."""
    distances = (pixels[:, None] - 16 * torch.arange(count)).abs().double()
    return (1 - distances / 16).clamp(min=0)
