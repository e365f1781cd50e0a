# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers of networks written out, on tensors by their published names; and such tensors."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def enlarge(x, height, width):
    """(B, C, h, w) -> (B, C, H, W), bilinear between the centres of pixels."""
    return torch.einsum('Hh,bchw,Ww->bcHW', between(x.shape[2], height), x,
                        between(x.shape[3], width))


def between(small, large):
    """Sizes -> (large, small) shares of the small pixels in each of the large ones."""
    shares = torch.zeros(large, small, dtype=torch.float64)
    for index in range(large):
        centre = min(max((index + 0.5) * small / large - 0.5, 0), small - 1)
        low = math.floor(centre)
        shares[index, low] += 1 - (centre - low)
        shares[index, min(low + 1, small - 1)] += centre - low
    return shares


def conv(x, t, name, stride=1):
    """(B, a, H, W) -> (B, b, H/s, W/s), by a kernel of odd height and width."""
    weight, bias = t[f'{name}.weight'], t.get(f'{name}.bias')
    around = [side // 2 for side in weight.shape[2:]]
    return F.conv2d(x, weight, bias, stride, around, groups=x.shape[1] // weight.shape[1])


def batch_norm(x, t, name):
    mean, variance, weight, bias = (t[f'{name}.{key}'][:, None, None] for key in
                                    ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def layer_norm(x, t, name, epsilon):
    x = x - x.mean(1, keepdim=True)
    x = x / (x.square().mean(1, keepdim=True) + epsilon).sqrt()
    return x * t[f'{name}.weight'][:, None, None] + t[f'{name}.bias'][:, None, None]


def gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def draw(shapes, seed=0):
    """Shapes by published name -> tensors in double, none of them negligible."""
    generator = torch.Generator().manual_seed(seed)
    return {key: draw_one(key, shape, generator) for key, shape in shapes.items()}


def draw_one(key, shape, generator):
    if key.endswith('num_batches_tracked'):
        return torch.tensor(7)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    if key.endswith('running_var'):
        return values.abs() + 0.5
    return values / max(1, values[0].numel()) ** 0.5 if len(shape) > 1 else 0.5 * values
