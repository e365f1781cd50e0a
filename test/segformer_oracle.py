# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SegFormer written out from MMSegmentation's names, shapes and layers, without modules."""

from __future__ import annotations

import torch
from torch.nn import functional as F

HEADS, RATIOS = (1, 2, 5, 8), (8, 4, 2, 1)


def released_shapes(widths, depths, num_classes):
    """Return the shape of every tensor in a file of MMSegmentation, by name."""
    shapes, before = {}, 3

    def layer(name, *weight):
        shapes[f'{name}.weight'] = weight
        shapes[f'{name}.bias'] = weight[:1]

    def conv_module(name, before, width):
        shapes[f'{name}.conv.weight'] = (width, before, 1, 1)
        layer(f'{name}.bn', width)
        shapes[f'{name}.bn.running_mean'] = shapes[f'{name}.bn.running_var'] = (width,)
        shapes[f'{name}.bn.num_batches_tracked'] = ()

    for stage, (width, depth, ratio) in enumerate(zip(widths, depths, RATIOS)):
        first = f'backbone.layers.{stage}'
        size = 3 if stage else 7
        layer(f'{first}.0.projection', width, before, size, size)
        layer(f'{first}.0.norm', width)
        for block in (f'{first}.1.{number}' for number in range(depth)):
            layer(f'{block}.norm1', width)
            shapes[f'{block}.attn.attn.in_proj_weight'] = (3 * width, width)
            shapes[f'{block}.attn.attn.in_proj_bias'] = (3 * width,)
            layer(f'{block}.attn.attn.out_proj', width, width)
            if ratio > 1:
                layer(f'{block}.attn.sr', width, width, ratio, ratio)
                layer(f'{block}.attn.norm', width)
            layer(f'{block}.norm2', width)
            layer(f'{block}.ffn.layers.0', 4 * width, width, 1, 1)
            layer(f'{block}.ffn.layers.1', 4 * width, 1, 3, 3)
            layer(f'{block}.ffn.layers.4', width, 4 * width, 1, 1)
        layer(f'{first}.2', width)
        conv_module(f'decode_head.convs.{stage}', width, 256)
        before = width
    conv_module('decode_head.fusion_conv', 1024, 256)
    layer('decode_head.conv_seg', num_classes, 256, 1, 1)
    return shapes


def draw_weights(shapes, seed=0):
    """Return float64 tensors of these shapes, none of them negligible."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        if name.endswith('num_batches_tracked'):
            values = torch.tensor(7)
        elif name.endswith('running_var'):
            values = values.abs() + 0.5
        elif len(shape) > 1:
            values = values / values[0].numel() ** 0.5
        weights[name] = values
    return weights


def segformer(images, weights, depths):
    """(B, 3, H, W), weights by MMSegmentation's names -> [F1..F4], logits."""
    features, x = [], images
    for stage, depth in enumerate(depths):
        first = f'backbone.layers.{stage}'
        x = F.conv2d(x, weights[f'{first}.0.projection.weight'],
                     weights[f'{first}.0.projection.bias'],
                     stride=2 if stage else 4, padding=1 if stage else 3)
        x = norm(x, weights, f'{first}.0.norm')
        for number in range(depth):
            block = f'{first}.1.{number}'
            x = x + attend(norm(x, weights, f'{block}.norm1'), weights, f'{block}.attn', stage)
            x = x + digest(norm(x, weights, f'{block}.norm2'), weights, f'{block}.ffn.layers')
        x = norm(x, weights, f'{first}.2')
        features.append(x)
    levels = [F.interpolate(conv_module(f, weights, f'decode_head.convs.{stage}'),
                            features[0].shape[2:], mode='bilinear')
              for stage, f in enumerate(features)]
    fused = conv_module(torch.cat(levels, 1), weights, 'decode_head.fusion_conv')
    return features, F.conv2d(fused, weights['decode_head.conv_seg.weight'],
                              weights['decode_head.conv_seg.bias'])


def norm(x, weights, name):
    """Layer norm over the channels of (B, C, H, W)."""
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2], weights[f'{name}.weight'],
                        weights[f'{name}.bias'], 1e-6).movedim(-1, 1)


def attend(x, weights, name, stage):
    """Multi-head attention of all pixels to the reduced map, with packed projections."""
    reduced, width = x, x.shape[1]
    if RATIOS[stage] > 1:
        reduced = F.conv2d(x, weights[f'{name}.sr.weight'], weights[f'{name}.sr.bias'],
                           stride=RATIOS[stage])
        reduced = norm(reduced, weights, f'{name}.norm')
    query, key = (part.flatten(2).permute(2, 0, 1) for part in (x, reduced))  # (N, B, C)
    answer, _ = F.multi_head_attention_forward(
        query, key, key, width, HEADS[stage], weights[f'{name}.attn.in_proj_weight'],
        weights[f'{name}.attn.in_proj_bias'], None, None, False, 0.0,
        weights[f'{name}.attn.out_proj.weight'], weights[f'{name}.attn.out_proj.bias'],
        training=False, need_weights=False)
    return answer.permute(1, 2, 0).reshape(x.shape)


def digest(x, weights, name):
    """1x1 convolution, 3x3 of each channel, GELU, 1x1 convolution."""
    x = F.conv2d(x, weights[f'{name}.0.weight'], weights[f'{name}.0.bias'])
    x = F.conv2d(x, weights[f'{name}.1.weight'], weights[f'{name}.1.bias'], padding=1,
                 groups=x.shape[1])
    return F.conv2d(F.gelu(x), weights[f'{name}.4.weight'], weights[f'{name}.4.bias'])


def conv_module(x, weights, name):
    """1x1 convolution, batch norm in evaluation, ReLU."""
    x = F.conv2d(x, weights[f'{name}.conv.weight'])
    return F.batch_norm(x, weights[f'{name}.bn.running_mean'], weights[f'{name}.bn.running_var'],
                        weights[f'{name}.bn.weight'], weights[f'{name}.bn.bias']).relu()
