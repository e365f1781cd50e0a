# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Windows of a Swin transformer that are left out, and those that are computed.

Chen et al., "SparseViT: Revisiting Activation Sparsity for Efficient High-Resolution Vision
Transformer", from its description. A Swin block is two layers: windows, then windows shifted by
half a window. Before each block the windows are ranked by the L2 norm of their values, and the
weakest are left out. All of a layer, attention and perceptron, is computed on the others alone;
those left out keep their values. The second layer computes the shifted windows that overlap a
window kept in the first. With nothing left out the result is the plain network's.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.sparse_refine.selection import highest

Range = tuple[float, float]  # lowest and highest fraction of the windows to leave out
APART = -100.0  # added to scores of attention between places that are no neighbours in the image


class PrunedBlocks(nn.Module):
    """
    The layers of a Swin stage in the place of their list, under the same names.

    The stage goes through its list and calls each item; here the one item is this module itself.
    sparsity: what part of the windows is left out, drawn anew for each call; two equal numbers
    are a fixed part.
    """

    looks_at_image = True  # to choose what it computes

    def __init__(self, layers: nn.ModuleList, sparsity: Range):
        super().__init__()
        for name, layer in layers.named_children():
            self.add_module(name, layer)
        self.sparsity = sparsity
        self.counts: tuple[int, ...] = ()  # windows of each layer, to count operations only

    def __iter__(self):
        yield self

    def forward(self, tokens: Tensor, size_hw: tuple[int, int], **_: Any
                ) -> tuple[Tensor, tuple[int, ...]]:
        """(B, H * W, C), H and W -> the same shape, and how many windows each layer computed."""
        maps, counts = tokens.unflatten(1, size_hw), []  # (B, H, W, C)
        low, high = self.sparsity
        sparsity = low if low == high else float(torch.empty(()).uniform_(low, high))
        kept = torch.empty(0)
        layer: Any  # a SwinLayer of `transformers`
        for index, layer in enumerate(self.children()):
            if index % 2 == 0:
                kept = strongest(maps, layer.window_size, sparsity)
            elif layer.shift_size:
                kept = overlapping(kept)
            places = tokens.new_empty(self.counts[index], dtype=torch.int64) if self.counts else \
                kept.flatten().nonzero()[:, 0]
            maps = run_layer(layer, maps, places)
            counts.append(len(places))
        return maps.flatten(1, 2), tuple(counts)


def strongest(maps: Tensor, side: int, sparsity: float) -> Tensor:
    """
    (B, H, W, C) -> (B, rows, columns) bool: the windows of each image that are kept.

    First those that hold what is not a number, so that it shows in the result.
    """
    squares = padded(maps.detach().float().square().sum(3, keepdim=True), side)
    energy = squares.unflatten(2, (-1, side)).unflatten(1, (-1, side)).sum((2, 4, 5))
    energy = energy.nan_to_num(torch.inf, torch.inf)
    count = energy[0].numel()
    return highest(energy, count - int(sparsity * count))


def overlapping(kept: Tensor) -> Tensor:
    """(B, rows, columns) bool -> the same of shifted windows: each overlaps four, cyclically."""
    pairs = kept | kept.roll(-1, 1)
    return pairs | pairs.roll(-1, 2)


def run_layer(layer: Any, maps: Tensor, places: Tensor) -> Tensor:
    """(B, H, W, C), (K,) places among all windows of all images -> (B, H, W, C)."""
    side, shift, (batch, height, width, _) = layer.window_size, layer.shift_size, maps.shape
    shifted = padded(maps, side).roll((-shift, -shift), (1, 2))
    windows = partition(shifted, side)  # (B * n, side * side, C)
    of_image, of_window = places // (len(windows) // batch), places % (len(windows) // batch)
    some = windows[places]  # (K, side * side, C)
    normed = layer.layernorm_before(some)
    if shifted.shape[1:3] != (height, width):  # the padding is zero in attention
        inside = padded(maps.new_ones(1, height, width, 1), side).roll((-shift, -shift), (1, 2))
        normed = normed * partition(inside, side)[of_window]
    mask = regions(shifted, side, shift)[of_window] if shift else None
    change = layer.dropout(layer.attention(normed, mask)[0])
    if layer.training:  # which images skip the layer
        change = change * layer.drop_path(maps.new_ones(batch, 1, 1))[of_image]
    some = some + change
    some = some + layer.dropout(layer.mlp(layer.layernorm_after(some)))
    windows = windows.index_copy(0, places, some.to(windows.dtype))
    joined = join(windows, shifted.shape[1] // side, shifted.shape[2] // side)
    return joined.roll((shift, shift), (1, 2))[:, :height, :width]


def padded(maps: Tensor, side: int) -> Tensor:
    """(B, H, W, C) -> with zeros below and on the right, up to multiples of a side."""
    down, right = (-length % side for length in maps.shape[1:3])
    return F.pad(maps, (0, 0, 0, right, 0, down)) if down or right else maps


def partition(maps: Tensor, side: int) -> Tensor:
    """(B, H, W, C) in multiples of a side -> (B * n, side * side, C), n windows of an image."""
    windows = maps.unflatten(2, (-1, side)).unflatten(1, (-1, side)).transpose(2, 3)
    return windows.flatten(3, 4).flatten(0, 2)


def join(windows: Tensor, rows: int, columns: int) -> Tensor:
    """Undo `partition`."""
    side = round(windows.shape[1] ** 0.5)
    maps = windows.unflatten(0, (-1, rows, columns)).unflatten(3, (side, side)).transpose(2, 3)
    return maps.flatten(3, 4).flatten(1, 2)


def regions(maps: Tensor, side: int, shift: int) -> Tensor:
    """Shifted (B, H, W, C) -> (n, T, T) 0, or APART where a window joins opposite borders."""
    rows, columns = (
        torch.arange(length, device=maps.device) >= length - shift for length in maps.shape[1:3])
    ids = partition((2 * rows[:, None] + columns)[None, ..., None], side)[..., 0]  # (n, T)
    return (ids[:, :, None] != ids[:, None, :]).to(maps.dtype) * APART


def prune(network: nn.Module, sparsities: tuple[Range, ...]) -> list[PrunedBlocks]:
    """Let a Swin leave out windows from now on, in each stage its own part -> its stages."""
    stages = swin_stages(network)
    if len(sparsities) != len(stages):
        raise ValueError(f'there must be one sparsity for each of {len(stages)} stages, got '
                         f'{len(sparsities)}')
    for stage, sparsity in zip(stages, sparsities):
        stage.blocks = PrunedBlocks(stage.blocks, sparsity)
    return pruned_stages(network)


def pruned_copy(network: nn.Module, sparsities: tuple[float, ...]) -> nn.Module:
    """Return a network with the same weights that leaves out windows; the other stays."""
    swin_stages(network)
    weights = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    copied = deepcopy(network, weights)
    prune(copied, tuple((part, part) for part in sparsities))
    return copied


def swin_stages(network: nn.Module) -> list[Any]:
    """Return the stages of a Swin transformer in a network; ValueError without any."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    stages = [module for module in modules if type(module).__name__ == 'SwinStage']
    if not stages:
        raise ValueError('windows are left out of Swin transformers, such as that of '
                         f'mask2former_swin_t, on engine torch; got {type(network).__name__}')
    return stages


def pruned_stages(network: nn.Module) -> list[PrunedBlocks]:
    """Return the stages of a network that leave out windows."""
    return [module for module in network.modules() if isinstance(module, PrunedBlocks)]
