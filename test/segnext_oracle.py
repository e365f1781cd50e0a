# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SegNeXt as the paper says it, one step after another, and MMSegmentation's names for it."""

from __future__ import annotations

import numpy as np
import torch
from hrnet_oracle import norm_shapes
from layers_oracle import batch_norm, conv, enlarge, gelu, layer_norm


def segnext(images, t, bases):
    """(B, 3, H, W), (D, R) first bases -> [F1, F2, F3, F4] and (B, C, H/8, W/8) logits."""
    features, x = [], images
    for stage in (1, 2, 3, 4):
        name = f'backbone.patch_embed{stage}'
        if stage == 1:
            x = gelu(batch_norm(conv(x, t, f'{name}.proj.0', 2), t, f'{name}.proj.1'))
            x = batch_norm(conv(x, t, f'{name}.proj.3', 2), t, f'{name}.proj.4')
        else:
            x = batch_norm(conv(x, t, f'{name}.proj', 2), t, f'{name}.norm')
        index = 0
        while f'backbone.block{stage}.{index}.layer_scale_1' in t:
            x = block(x, t, f'backbone.block{stage}.{index}')
            index += 1
        x = layer_norm(x, t, f'backbone.norm{stage}', 1e-5)
        features.append(x)
    return features, decoder(features, t, bases)


def block(x, t, name):
    y = attention(batch_norm(x, t, f'{name}.norm1'), t, f'{name}.attn')
    x = x + y * t[f'{name}.layer_scale_1'][:, None, None]
    y = conv(batch_norm(x, t, f'{name}.norm2'), t, f'{name}.mlp.fc1')
    y = conv(gelu(conv(y, t, f'{name}.mlp.dwconv')), t, f'{name}.mlp.fc2')
    return x + y * t[f'{name}.layer_scale_2'][:, None, None]


def attention(x, t, name):
    y = gelu(conv(x, t, f'{name}.proj_1'))
    unit = f'{name}.spatial_gating_unit'
    near = conv(y, t, f'{unit}.conv0')
    seen = near
    for scale in (0, 1, 2):
        strip = conv(near, t, f'{unit}.conv{scale}_1')
        seen = seen + conv(strip, t, f'{unit}.conv{scale}_2')
    y = conv(seen, t, f'{unit}.conv3') * y
    return x + conv(y, t, f'{name}.proj_2')


def decoder(features, t, bases):
    height, width = features[1].shape[2:]
    x = torch.cat([enlarge(f, height, width) for f in features[1:]], 1)
    x = projection(x, t, 'decode_head.squeeze').clamp(min=0)
    y = conv(x, t, 'decode_head.hamburger.ham_in.conv').clamp(min=0)
    y = torch.stack([torch.from_numpy(factorise(columns.flatten(1).numpy(), bases.numpy(), 7))
                     for columns in y]).view_as(y)
    x = (x + projection(y, t, 'decode_head.hamburger.ham_out')).clamp(min=0)
    x = projection(x, t, 'decode_head.align').clamp(min=0)
    return conv(x, t, 'decode_head.conv_seg')


def projection(x, t, name):
    """1x1 convolution; then the channels of each of 32 groups are normalised together."""
    x = conv(x, t, f'{name}.conv')
    groups = x.unflatten(1, (32, -1))
    groups = groups - groups.mean((2, 3, 4), keepdim=True)
    groups = groups / (groups.square().mean((2, 3, 4), keepdim=True) + 1e-5).sqrt()
    return groups.flatten(1, 2) * t[f'{name}.gn.weight'][:, None, None] \
        + t[f'{name}.gn.bias'][:, None, None]


def factorise(x, d, steps):
    """
    (D, N) and bases (D, R), numpy, not negative -> D C^T of rank R, near x.

    "Is Attention Better Than Matrix Decomposition?", algorithm 2, with C as columns of shares.
    """
    scores = x.T @ d
    c = np.exp(scores - scores.max(1, keepdims=True))
    c = c / c.sum(1, keepdims=True)
    for step in range(steps + 1):
        c = c * (x.T @ d) / (c @ d.T @ d + 1e-6)
        if step < steps:
            d = d * (x @ c) / (d @ c.T @ c + 1e-6)
    return d @ c.T


def published_shapes(widths, depths, width, classes):
    """Return the shape of every tensor of a SegNeXt in MMSegmentation's files."""
    stem, shapes, before = 'backbone.patch_embed1.proj', {}, 0
    half = widths[0] // 2
    shapes |= conv_shapes(f'{stem}.0', 3, half, 3) | norm_shapes(f'{stem}.1', half)
    shapes |= conv_shapes(f'{stem}.3', half, widths[0], 3) | norm_shapes(f'{stem}.4', widths[0])
    for stage, (b, depth, expansion) in enumerate(zip(widths, depths, (8, 8, 4, 4)), 1):
        if stage > 1:
            shapes |= conv_shapes(f'backbone.patch_embed{stage}.proj', before, b, 3)
            shapes |= norm_shapes(f'backbone.patch_embed{stage}.norm', b)
        for index in range(depth):
            shapes |= block_shapes(f'backbone.block{stage}.{index}', b, expansion * b)
        shapes |= vectors(f'backbone.norm{stage}', b)
        before = b
    shapes |= projection_shapes('decode_head.squeeze', sum(widths[1:]), width)
    shapes |= conv_shapes('decode_head.hamburger.ham_in.conv', width, width, 1)
    shapes |= projection_shapes('decode_head.hamburger.ham_out', width, width)
    shapes |= projection_shapes('decode_head.align', width, width)
    return shapes | conv_shapes('decode_head.conv_seg', width, classes, 1)


def block_shapes(name, width, wide):
    shapes = norm_shapes(f'{name}.norm1', width) | norm_shapes(f'{name}.norm2', width)
    shapes |= {f'{name}.layer_scale_1': (width,), f'{name}.layer_scale_2': (width,)}
    shapes |= conv_shapes(f'{name}.attn.proj_1', width, width, 1)
    shapes |= conv_shapes(f'{name}.attn.proj_2', width, width, 1)
    unit = f'{name}.attn.spatial_gating_unit'
    shapes |= conv_shapes(f'{unit}.conv0', 1, width, 5) | conv_shapes(f'{unit}.conv3', width,
                                                                      width, 1)
    for scale, long in enumerate((7, 11, 21)):
        shapes |= {f'{unit}.conv{scale}_1.weight': (width, 1, 1, long),
                   f'{unit}.conv{scale}_1.bias': (width,),
                   f'{unit}.conv{scale}_2.weight': (width, 1, long, 1),
                   f'{unit}.conv{scale}_2.bias': (width,)}
    shapes |= conv_shapes(f'{name}.mlp.fc1', width, wide, 1)
    shapes |= conv_shapes(f'{name}.mlp.dwconv', 1, wide, 3)
    return shapes | conv_shapes(f'{name}.mlp.fc2', wide, width, 1)


def projection_shapes(name, a, b):
    return {f'{name}.conv.weight': (b, a, 1, 1), **vectors(f'{name}.gn', b)}


def conv_shapes(name, a, b, side):
    return {f'{name}.weight': (b, a, side, side), f'{name}.bias': (b,)}


def vectors(name, width):
    return {f'{name}.weight': (width,), f'{name}.bias': (width,)}
