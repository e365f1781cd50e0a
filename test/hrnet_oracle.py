# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""HRNet as the paper says it, one step after another, and MMSegmentation's names for it."""

from __future__ import annotations

import torch
from layers_oracle import batch_norm, conv, enlarge

MODULES = {2: 1, 3: 4, 4: 3}  # exchanges in each stage, which has as many streams as its number


def hrnet(images, t):
    """(B, 3, H, W) -> four streams and (B, C, H/4, W/4) logits."""
    x = conv_norm(images, t, 'backbone.conv1', 'backbone.bn1', 2).clamp(min=0)
    x = conv_norm(x, t, 'backbone.conv2', 'backbone.bn2', 2).clamp(min=0)
    for index in range(4):
        x = bottleneck(x, t, f'backbone.layer1.{index}')
    name, coarsest = 'backbone.transition1.0', x
    streams = [conv_norm(x, t, f'{name}.0', f'{name}.1').clamp(min=0)]
    for stage, modules in MODULES.items():
        name = f'backbone.transition{stage - 1}.{stage - 1}.0'
        streams.append(conv_norm(coarsest, t, f'{name}.0', f'{name}.1', 2).clamp(min=0))
        for module in range(modules):
            streams = exchange(streams, t, f'backbone.stage{stage}.{module}')
        coarsest = streams[-1]
    height, width = streams[0].shape[2:]
    x = torch.cat([enlarge(stream, height, width) for stream in streams], 1)
    name = 'decode_head.convs.0'
    x = conv_norm(x, t, f'{name}.conv', f'{name}.bn').clamp(min=0)
    return streams, conv(x, t, 'decode_head.conv_seg')


def bottleneck(x, t, name):
    y = conv_norm(x, t, f'{name}.conv1', f'{name}.bn1').clamp(min=0)
    y = conv_norm(y, t, f'{name}.conv2', f'{name}.bn2').clamp(min=0)
    y = conv_norm(y, t, f'{name}.conv3', f'{name}.bn3')
    if name.endswith('.0'):
        x = conv_norm(x, t, f'{name}.downsample.0', f'{name}.downsample.1')
    return (x + y).clamp(min=0)


def exchange(streams, t, name):
    grown = []
    for number, x in enumerate(streams):
        for index in range(4):
            block = f'{name}.branches.{number}.{index}'
            y = conv_norm(x, t, f'{block}.conv1', f'{block}.bn1').clamp(min=0)
            x = (x + conv_norm(y, t, f'{block}.conv2', f'{block}.bn2')).clamp(min=0)
        grown.append(x)
    heard = []
    for receiver, own in enumerate(grown):
        total = own
        for sender, x in enumerate(grown):
            layers = f'{name}.fuse_layers.{receiver}.{sender}'
            if sender > receiver:
                x = conv_norm(x, t, f'{layers}.0', f'{layers}.1')
                total = total + enlarge(x, *own.shape[2:])
            elif sender < receiver:
                for step in range(receiver - sender):
                    x = conv_norm(x, t, f'{layers}.{step}.0', f'{layers}.{step}.1', 2)
                    x = x.clamp(min=0) if step < receiver - sender - 1 else x
                total = total + x
        heard.append(total.clamp(min=0))
    return heard


def conv_norm(x, t, conv_name, norm_name, stride=1):
    return batch_norm(conv(x, t, conv_name, stride), t, norm_name)


def published_shapes(widths, classes):
    """Return the shape of every tensor of an HRNet with an FCN head in MMSegmentation's files."""
    shapes = pair('backbone.conv1', 'backbone.bn1', 3, 64, 3)
    shapes |= pair('backbone.conv2', 'backbone.bn2', 64, 64, 3)
    for index in range(4):
        name, a = f'backbone.layer1.{index}', 256 if index else 64
        shapes |= pair(f'{name}.conv1', f'{name}.bn1', a, 64, 1)
        shapes |= pair(f'{name}.conv2', f'{name}.bn2', 64, 64, 3)
        shapes |= pair(f'{name}.conv3', f'{name}.bn3', 64, 256, 1)
    shapes |= numbered('backbone.layer1.0.downsample', 64, 256, 1)
    shapes |= numbered('backbone.transition1.0', 256, widths[0], 3)
    for stage, modules in MODULES.items():
        before = 256 if stage == 2 else widths[stage - 2]
        shapes |= numbered(f'backbone.transition{stage - 1}.{stage - 1}.0', before,
                           widths[stage - 1], 3)
        for module in range(modules):
            shapes |= exchange_shapes(f'backbone.stage{stage}.{module}', widths[:stage])
    total = sum(widths)
    shapes |= pair('decode_head.convs.0.conv', 'decode_head.convs.0.bn', total, total, 1)
    return shapes | {'decode_head.conv_seg.weight': (classes, total, 1, 1),
                     'decode_head.conv_seg.bias': (classes,)}


def exchange_shapes(name, widths):
    shapes = {}
    for number, width in enumerate(widths):
        for index in range(4):
            block = f'{name}.branches.{number}.{index}'
            shapes |= pair(f'{block}.conv1', f'{block}.bn1', width, width, 3)
            shapes |= pair(f'{block}.conv2', f'{block}.bn2', width, width, 3)
    for receiver, b in enumerate(widths):
        for sender, a in enumerate(widths):
            layers = f'{name}.fuse_layers.{receiver}.{sender}'
            if sender > receiver:
                shapes |= numbered(layers, a, b, 1)
            for step in range(receiver - sender):
                last = step == receiver - sender - 1
                shapes |= numbered(f'{layers}.{step}', a, b if last else a, 3)
    return shapes


def numbered(name, a, b, side):
    return pair(f'{name}.0', f'{name}.1', a, b, side)


def pair(conv_name, norm_name, a, b, side):
    """Convolution without bias, and batch norm."""
    return {f'{conv_name}.weight': (b, a, side, side), **norm_shapes(norm_name, b)}


def norm_shapes(name, width):
    """Batch norm."""
    vectors = ('weight', 'bias', 'running_mean', 'running_var')
    return {**{f'{name}.{key}': (width,) for key in vectors}, f'{name}.num_batches_tracked': ()}
