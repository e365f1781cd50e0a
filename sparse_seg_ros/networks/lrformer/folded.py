# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
LRFormer for inference: the same function in fewer steps, exact but for rounding.

Made from a trained network, which keeps its published tensors:
- batch norms go into the convolution before them (stem, decoder), into the one behind them, or,
  in front of attention, to the small grids: means keep what is affine;
- layer scales go into the last product of what they scale;
- x + depth-wise(x) is one convolution, its kernel with one more in the middle;
- all grids of an attention are pooled in one pass over a map whose channels lie last in memory.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sparse_seg_ros.networks.lrformer.attention import LowResolutionAttention, attend, resize
from sparse_seg_ros.networks.lrformer.block import Block, FeedForward
from sparse_seg_ros.networks.lrformer.decoder import Decoder
from sparse_seg_ros.networks.lrformer.encoder import Encoder, Stage, Stem
from sparse_seg_ros.networks.lrformer.pooling import pool_grids


def fold_encoder(encoder: Encoder) -> None:
    """Turn a copy of a trained encoder into one for inference."""
    fold_stem(encoder.stages[0].embedding)
    encoder.stages = nn.ModuleList(map(fold_stage, encoder.stages))


def fold_stem(stem: Stem) -> None:
    """Put the batch norms of a stem into its convolutions."""
    for number, layer in enumerate(stem.conv1):
        if isinstance(layer, nn.BatchNorm2d):
            stem.conv1[number - 1] = fuse_conv_bn_eval(stem.conv1[number - 1], layer)
            stem.conv1[number] = nn.Identity()


def fold_stage(stage: Stage) -> nn.Module:
    """Stage -> (B, a, H, W) -> (B, b, H/2, W/2) for inference."""
    convs = nn.ModuleList(map(with_shortcut, stage.pyramid))
    return nn.Sequential(stage.embedding, *(FoldedBlock(block, convs) for block in stage.blocks))


def fold_decoder(decoder: Decoder) -> None:
    """Turn a copy of a trained decoder into one for inference."""
    for squeeze in (decoder.squeeze1, decoder.squeeze2):
        squeeze.conv, squeeze.bn = fuse_conv_bn_eval(squeeze.conv, squeeze.bn), nn.Identity()
    decoder.fuse_block1 = FoldedBlock(decoder.fuse_block1)
    decoder.fuse_block2 = FoldedBlock(decoder.fuse_block2)


class FoldedAttention(nn.Module):
    """(B, C, H, W) -> (B, C, H, W), as LowResolutionAttention of norm(x), times scale."""

    def __init__(self, attention: LowResolutionAttention, convs: nn.ModuleList | None,
                 norm: nn.Module, scale: Tensor | None):
        super().__init__()
        self.heads = attention.heads
        self.sides = (attention.query_side, *attention.pyramid_sides)
        self.is_affine = isinstance(norm, nn.BatchNorm2d)
        if self.is_affine:
            gain, offset = affine(norm)  # (C,)
            self.register_buffer('gain', gain)
            self.register_buffer('offset', offset)
        self.convs = convs
        self.q, self.kv = as_linear(attention.q), attention.kv
        self.norm, self.proj = attention.norm, scaled(attention.proj, scale)

    def forward(self, x: Tensor) -> Tensor:
        asking, *grids = self.pool(x)
        context = self.norm(torch.cat([grid.flatten(1, 2) for grid in grids], dim=1))
        heard = attend(self.q(asking.flatten(1, 2)), self.kv(context), self.heads)
        answer = self.proj(heard)  # (B, h w, C)
        return resize(answer.unflatten(1, asking.shape[1:3]).movedim(-1, 1), x.shape[-2:])

    def pool(self, x: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> (B, h, w, C) of the queries' grid and of those of the pyramid."""
        grids = pool_grids(x, self.sides)
        if self.is_affine:
            grids = [grid * self.gain + self.offset for grid in grids]
        if self.convs is not None:
            grids[1:] = [conv(grid.movedim(-1, 1)).movedim(1, -1)
                         for grid, conv in zip(grids[1:], self.convs)]
        return grids


class FoldedFeedForward(nn.Module):
    """(B, C, H, W) -> (B, C, H, W), as FeedForward of norm(x), times scale."""

    def __init__(self, mlp: FeedForward, norm: nn.Module, scale: Tensor | None):
        super().__init__()
        self.fc1 = behind(norm, mlp.fc1) if isinstance(norm, nn.BatchNorm2d) else mlp.fc1
        self.conv = with_shortcut(mlp.conv)
        self.fc2 = scaled(mlp.fc2, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.conv(F.gelu(self.fc1(x))))


class FoldedBlock(nn.Module):
    """(B, C, H, W) -> (B, C, H, W), as Block."""

    def __init__(self, block: Block, convs: nn.ModuleList | None = None):
        super().__init__()
        self.pre_norm, self.cpe = block.pre_norm, with_shortcut(block.cpe)
        self.norm1, self.norm2 = (nn.Identity() if isinstance(norm, nn.BatchNorm2d) else norm
                                  for norm in (block.norm1, block.norm2))
        self.attn = FoldedAttention(block.attn, convs, block.norm1, block.layer_scale_1)
        self.mlp = FoldedFeedForward(block.mlp, block.norm2, block.layer_scale_2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cpe(self.pre_norm(x))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def with_shortcut(conv: nn.Conv2d) -> nn.Conv2d:
    """3x3 depth-wise convolution -> the one that adds its input to its output."""
    conv = copy.deepcopy(conv)
    conv.weight.data[:, :, 1, 1] += 1
    return conv


def scaled(layer: nn.Module, scale: Tensor | None) -> nn.Module:
    """Linear or 1x1 convolution -> the one whose outputs are (C,) `scale` times as large."""
    if scale is None:
        return layer
    layer = copy.deepcopy(layer)
    layer.weight.data *= scale.data.view(-1, *[1] * (layer.weight.ndim - 1))
    layer.bias.data *= scale.data
    return layer


def behind(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> nn.Conv2d:
    """1x1 convolution -> the one that does the work of the norm in front of it, too."""
    gain, offset = affine(norm)
    conv = copy.deepcopy(conv)
    conv.bias.data += conv.weight.data.flatten(1) @ offset
    conv.weight.data *= gain[:, None, None]
    return conv


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return (C,) gain and offset of a trained batch norm."""
    gain = norm.weight.data * (norm.running_var + norm.eps).rsqrt()
    return gain, norm.bias.data - norm.running_mean * gain


def as_linear(layer: nn.Module) -> nn.Linear:
    """Linear, or 1x1 convolution of tokens -> the same as Linear."""
    linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], device='meta')
    linear.weight, linear.bias = nn.Parameter(layer.weight.data.flatten(1)), layer.bias
    return linear
