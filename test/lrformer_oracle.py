# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LRFormer as the paper says it, one step after another, from tensors by their published names."""

from __future__ import annotations

import math

import torch
from layers_oracle import batch_norm, conv, enlarge, gelu, layer_norm

HEADS = {1: 2, 2: 4, 3: 10, 4: 16}


def lrformer(images, t):
    """(B, 3, H, W) -> [F1, F2, F3, F4] and (B, C, H/8, W/8) logits."""
    features, x = [], images
    for stage in (1, 2, 3, 4):
        x = stem(x, t) if stage == 1 else layer_norm(
            conv(x, t, f'backbone.patch_embed{stage}.proj', stride=2), t,
            f'backbone.patch_embed{stage}.norm', 1e-6)
        index = 0
        while f'backbone.block{stage}.{index}.cpe.weight' in t:
            x = encoder_block(x, t, stage, f'backbone.block{stage}.{index}')
            index += 1
        features.append(x)
    return features, decoder(features, t)


def stem(x, t):
    name = 'backbone.patch_embed1'
    for index, stride in ((0, 2), (3, 1), (6, 2)):
        x = conv(x, t, f'{name}.conv1.{index}', stride)
        x = gelu(batch_norm(x, t, f'{name}.conv1.{index + 1}'))
    return layer_norm(conv(x, t, f'{name}.conv1.9'), t, f'{name}.norm', 1e-6)


def encoder_block(x, t, stage, name):
    if f'{name}.pre_norm.weight' in t:
        x = batch_norm(x, t, f'{name}.pre_norm')
    x = x + conv(x, t, f'{name}.cpe')
    y = attention(layer_norm(x, t, f'{name}.norm1', 1e-6), t, f'{name}.attn', HEADS[stage], 16,
                  (11, 8, 6, 4), f'backbone.d_convs{stage}', '.0')
    x = x + (y * t[f'{name}.layer_scale_1'][:, None, None] if stage > 2 else y)
    y = feed_forward(layer_norm(x, t, f'{name}.norm2', 1e-6), t, f'{name}.mlp')
    return x + (y * t[f'{name}.layer_scale_2'][:, None, None] if stage > 2 else y)


def decoder(features, t):
    height, width = features[1].shape[2:]
    parts = [enlarge(x, height, width) for x in features[1:]]
    x = decoder_block(squeeze(torch.cat(parts, 1), t, 1), t, 'decode_head.fuse_block1')
    x = squeeze(torch.cat((x, parts[2]), 1), t, 2)
    return conv(decoder_block(x, t, 'decode_head.fuse_block2'), t, 'decode_head.conv_seg')


def squeeze(x, t, number):
    name = f'decode_head.squeeze{number}'
    return batch_norm(conv(x, t, f'{name}.conv'), t, f'{name}.bn').clamp(min=0)


def decoder_block(x, t, name):
    x = x + conv(x, t, f'{name}.cpe')
    y = attention(batch_norm(x, t, f'{name}.norm1'), t, f'{name}.attn', 8, 32, (22, 16, 12, 8))
    x = x + y * t[f'{name}.layer_scale_1'][:, None, None]
    y = feed_forward(batch_norm(x, t, f'{name}.norm2'), t, f'{name}.mlp')
    return x + y * t[f'{name}.layer_scale_2'][:, None, None]


def attention(x, t, name, heads, side, pyramid, convs=None, suffix=''):
    _, channels, height, width = x.shape
    asking = average(x, side)
    context = []
    for index, shorter in enumerate(pyramid):
        grid = average(x, shorter)
        context.append((grid + conv(grid, t, f'{convs}.{index}') if convs else grid).flatten(2))
    context = layer_norm(torch.cat(context, 2)[..., None], t, f'{name}.norm', 1e-5)
    query = linear(asking, t, f'{name}.q{suffix}').flatten(2)
    key, value = linear(context, t, f'{name}.kv{suffix}').flatten(2).split(channels, 1)
    each, heard = channels // heads, []
    for head in range(heads):
        own = slice(head * each, (head + 1) * each)
        scores = torch.einsum('bcn,bcm->bnm', query[:, own], key[:, own]) / math.sqrt(each)
        share = (scores - scores.amax(2, keepdim=True)).exp()
        share = share / share.sum(2, keepdim=True)
        heard.append(torch.einsum('bnm,bcm->bcn', share, value[:, own]))
    answer = linear(torch.cat(heard, 1).view(asking.shape), t, f'{name}.proj')
    return enlarge(answer, height, width)


def feed_forward(x, t, name):
    x = gelu(conv(x, t, f'{name}.fc1'))
    return conv(x + conv(x, t, f'{name}.conv'), t, f'{name}.fc2')


def average(x, side):
    """(B, C, H, W) -> (B, C, h, w), each cell the mean of the pixels that it touches."""
    height, width = x.shape[2:]
    rows, columns = ((side, round(side * width / height + 0.001)) if width >= height
                     else (round(side * height / width + 0.001), side))
    cells = [x[:, :, row * height // rows:math.ceil((row + 1) * height / rows),
               column * width // columns:math.ceil((column + 1) * width / columns)].mean((2, 3))
             for row in range(rows) for column in range(columns)]
    return torch.stack(cells, 2).unflatten(2, (rows, columns))


def linear(x, t, name):
    """(B, a, H, W) -> (B, b, H, W)."""
    weight = t[f'{name}.weight'].flatten(1)
    return torch.einsum('oc,bchw->bohw', weight, x) + t[f'{name}.bias'][:, None, None]
