# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SparseViT: windows left out, against a loop over windows, pixel by pixel, in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hugging_face import tiny_mask2former
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_vit import windows
from sparse_seg_ros.methods.sparse_vit.method import SparseViT
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.mask2former import Mask2Former
from sparse_seg_ros.timing import Stopwatch

SIDE = 4  # of the windows of tiny_mask2former


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(name='network', scope='module')
def tiny_network():
    network = Mask2Former(tiny_mask2former(5)).double().eval()
    for stage in windows.swin_stages(network):
        for layer in stage.blocks:
            nn.init.normal_(layer.attention.relative_position_bias.relative_position_bias_table)
    return network


def two_layers(network):
    """Return the stage of two layers, the second one shifted, and its channels."""
    stage = copy.deepcopy(windows.swin_stages(network)[2])
    return stage.blocks, 48


# The oracle: windows as lists of pixels, (y, x) of the map, or beyond it where it is padded.

def pixels_of_windows(size_hw, shift):
    """Return the pixels of each window, of the map that is padded and then shifted cyclically."""
    height, width = (-(-side // SIDE) * SIDE for side in size_hw)
    return {(row // SIDE, column // SIDE): [
        ((y + shift) % height, (x + shift) % width) for y in range(row, row + SIDE)
        for x in range(column, column + SIDE)]
        for row in range(0, height, SIDE) for column in range(0, width, SIDE)}


def offsets(i):
    """Return row and column of the i-th pixel in its window."""
    return divmod(i, SIDE)


def bias_of(table, pixels, i):
    """Return what is added to the scores of pixel i of a window: (T, heads)."""
    rows = []
    for j in range(len(pixels)):
        dy, dx = (a - b for a, b in zip(offsets(i), offsets(j)))
        is_torn = (dy, dx) != tuple(a - b for a, b in zip(pixels[i], pixels[j]))  # by the shift
        rows.append(table[(dy + SIDE - 1) * (2 * SIDE - 1) + dx + SIDE - 1] - 100 * is_torn)
    return torch.stack(rows)


def literal_window(layer, values, pixels, inside):
    """(T, C) values of a window -> what the layer makes of them, by pixel and head."""
    attention = layer.attention
    normed = layer.layernorm_before(values) * torch.tensor(inside, dtype=values.dtype)[:, None]
    q, k, v = (getattr(attention, f'{name}_proj')(normed) for name in 'qkv')
    table = attention.relative_position_bias.relative_position_bias_table
    width = q.shape[1] // attention.num_attention_heads
    rows = []
    for i in range(len(pixels)):
        bias = bias_of(table, pixels, i)
        parts = []
        for head in range(bias.shape[1]):
            own = slice(head * width, (head + 1) * width)
            scores = (k[:, own] @ q[i, own]) / math.sqrt(width) + bias[:, head]
            parts.append(scores.softmax(0) @ v[:, own])
        rows.append(attention.o_proj(torch.cat(parts)))
    values = values + torch.stack(rows)
    return values + layer.mlp(layer.layernorm_after(values))


def literal_layer(layer, image, kept):
    """(H, W, C) -> the same, with the windows in `kept` computed one after the other."""
    height, width, channels = image.shape
    result = image.clone()
    for name, pixels in pixels_of_windows((height, width), layer.shift_size).items():
        if name not in kept:
            continue
        inside = [y < height and x < width for y, x in pixels]
        values = torch.stack([image[y, x] if is_in else image.new_zeros(channels)
                              for (y, x), is_in in zip(pixels, inside)])
        for (y, x), is_in, value in zip(pixels, inside,
                                        literal_window(layer, values, pixels, inside)):
            if is_in:
                result[y, x] = value
    return result


def literal_block(layers, image, sparsity):
    """(H, W, C) -> after the two layers, and the number of windows of each."""
    size_hw = image.shape[:2]
    plain = pixels_of_windows(size_hw, 0)
    energy = {name: sum(float(image[y, x].square().sum()) for y, x in pixels
                        if y < size_hw[0] and x < size_hw[1]) for name, pixels in plain.items()}
    order = sorted(energy, key=lambda name: energy[name], reverse=True)
    kept = set(order[:len(order) - int(sparsity * len(order))])
    shifted = {name for name, pixels in pixels_of_windows(size_hw, SIDE // 2).items()
               if any(pixel in plain[other] for other in kept for pixel in pixels)}
    return literal_layer(layers[1], literal_layer(layers[0], image, kept), shifted), \
        (len(kept), len(shifted))


@torch.inference_mode()
@pytest.mark.parametrize('size_hw', [(8, 12), (9, 13), (3, 5)])
@pytest.mark.parametrize('sparsity', [0.0, 0.4, 0.8])
def test_a_block_computes_what_a_loop_over_the_kept_windows_does(network, size_hw, sparsity):
    layers, channels = two_layers(network)
    images = random(2, *size_hw, channels)
    images *= torch.linspace(0.5, 2, size_hw[1], dtype=torch.float64)[None, None, :, None]
    blocks = windows.PrunedBlocks(layers, (sparsity, sparsity)).eval()
    tokens, counts = blocks(images.flatten(1, 2), size_hw)
    expected, expected_counts = zip(*(literal_block(list(layers), image, sparsity)
                                      for image in images))
    torch.testing.assert_close(tokens.unflatten(1, size_hw), torch.stack(expected),
                               atol=1e-9, rtol=0)
    assert counts == tuple(map(sum, zip(*expected_counts)))


@torch.inference_mode()
@pytest.mark.parametrize('size_hw', [(64, 96), (160, 224)])
def test_with_nothing_left_out_it_is_the_plain_network(network, size_hw):
    images = random(2, 3, *size_hw)
    pruned = windows.pruned_copy(network, (0.0,) * 4)
    torch.testing.assert_close(pruned(images), network(images), atol=1e-8, rtol=0)
    other = windows.pruned_copy(network, (0.5,) * 4)
    assert (other(images) - network(images)).abs().max() > 1e-3


def test_a_copy_shares_the_weights_and_their_names_and_leaves_the_network_alone(network):
    pruned = windows.pruned_copy(network, (0.5,) * 4)
    own, other = network.state_dict(keep_vars=True), pruned.state_dict(keep_vars=True)
    assert list(own) == list(other) and all(own[name] is other[name] for name in own)
    assert len(windows.pruned_stages(pruned)) == 4 and not windows.pruned_stages(network)


@torch.inference_mode()
def test_what_is_not_a_number_shows_and_no_fewer_windows_are_computed(network):
    layers, channels = two_layers(network)
    images = random(2, 8, 16, channels)
    images[0] = math.nan
    images[1, 0, 0] = math.nan
    tokens, counts = windows.PrunedBlocks(layers, (0.8, 0.8)).eval()(images.flatten(1, 2), (8, 16))
    assert counts[0] == 4  # 2 of 8 of each image
    assert tokens[0].isnan().all() and tokens[1].isnan().any() and not tokens[1].isnan().all()


def test_it_can_be_printed(network):
    shown = repr(windows.pruned_copy(network, (0.5,) * 4))
    assert shown.count('PrunedBlocks') == 4 and shown.count('SwinLayer') == 5


@torch.inference_mode()
def test_weak_windows_are_left_out_and_keep_their_values(network):
    layers, channels = two_layers(network)
    images = 0.1 * random(1, 8, 16, channels)
    images[:, :4, 4:8] *= 20
    tokens, counts = windows.PrunedBlocks(layers, (0.9, 0.9)).eval()(images.flatten(1, 2), (8, 16))
    assert counts == (1, 4)  # of 8; the second layer has those that overlap the one
    is_changed = (tokens.unflatten(1, (8, 16)) != images).any(3)[0]
    assert is_changed[:, 2:10].all()
    assert not is_changed[:, :2].any() and not is_changed[:, 10:].any()


def test_operations_are_those_of_the_windows_that_were_computed(network):
    network = copy.deepcopy(network).float()
    method = SparseViT(network, (0.5,) * 4)
    images = random(2, 3, 128, 256).float()
    with torch.inference_mode():
        output = method(images, Request(), Stopwatch())
    macs = method.count_macs((128, 256), None, output.work)['dense']
    saved = sum((2 * windows_of(index) - count) * macs_of_window(layer)
                for index, (stage, counts) in enumerate(zip(
                    windows.swin_stages(network), output.work.counts))
                for layer, count in zip(stage.blocks, counts))
    plain = method.count_macs((128, 256))['dense']  # without the work of a frame
    assert plain > macs == (2 * plain - saved) // 2


def windows_of(stage):
    """Return the windows of an image of 128x256, whose maps are multiples of them."""
    return (128 // 4 // 2 ** stage // SIDE) * (256 // 4 // 2 ** stage // SIDE)


def macs_of_window(layer):
    """Projections, products of attention and perceptron of the tokens of a window."""
    channels, hidden, tokens = layer.mlp.fc1.in_features, layer.mlp.fc1.out_features, SIDE ** 2
    return tokens * (4 * channels ** 2 + 2 * tokens * channels + 2 * channels * hidden)


def test_a_frame_of_any_size_is_segmented_and_counted(network):
    network = copy.deepcopy(network).float()
    images = random(1, 3, 61, 97).float()
    plain, pruned = Dense(network, 0.5), SparseViT(network, (0.0, 0.0, 0.0, 0.0), 0.5)
    with torch.inference_mode():
        torch.testing.assert_close(pruned.coarse_logits(images), plain.coarse_logits(images),
                                   atol=1e-3, rtol=0)
        output = pruned(images, Request(), Stopwatch())
    assert output.labels.shape == (1, 61, 97)
    # all windows are computed, and the perceptrons see their padding, too
    assert pruned.count_macs((61, 97), None, output.work)['dense'] \
        > pruned.count_macs((61, 97))['dense']


def test_each_call_in_training_draws_how_much_is_left_out(network):
    layers, channels = two_layers(network)
    blocks = windows.PrunedBlocks(layers, (0.0, 0.9)).train()
    tokens = random(1, 40 * 40, channels).requires_grad_()
    torch.manual_seed(0)
    counts = {blocks(tokens, (40, 40))[1][0] for _ in range(8)}
    assert len(counts) > 4 and min(counts) >= 10 and max(counts) <= 100
    blocks(tokens, (40, 40))[0].sum().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()
    assert all(weight.grad is not None for weight in blocks.parameters())


def test_an_image_skips_a_layer_in_all_of_its_windows_or_none(network):
    layers, channels = two_layers(network)
    plain = list(layers)[0]
    plain.train()
    plain.drop_path = type(plain.drop_path)(0.5) if plain.shift_size else Skip()
    maps = random(2, 8, 8, channels)
    places = torch.arange(8)
    result = windows.run_layer(plain, maps, places)
    mlp_alone = maps + plain.mlp(plain.layernorm_after(maps))
    torch.testing.assert_close(result[0], mlp_alone[0])
    assert (result[1] - mlp_alone[1]).abs().max() > 1e-3


class Skip(nn.Module):
    """Lets the first image skip a layer."""

    def forward(self, values):
        return values * torch.tensor([0.0, 1.0]).view(2, *[1] * (values.ndim - 1))


def test_networks_without_windows_and_ratios_without_stages_are_refused(network):
    with pytest.raises(ValueError, match=r'left out of Swin transformers, .* got Compact'):
        SparseViT(build_network('compact', 5), (0.1,) * 4)
    with pytest.raises(ValueError, match='one sparsity for each of 4 stages, got 2'):
        windows.pruned_copy(network, (0.1, 0.2))


def test_padding_takes_no_part_in_the_norm_of_a_window():
    maps = torch.zeros(1, 5, 5, 1)
    maps[0, 4, 4] = 3.0
    assert F.pad(maps, (0, 0, 0, 3, 0, 3)).shape == windows.padded(maps, 4).shape
    assert windows.strongest(maps, 4, 0.75).flatten().tolist() == [False, False, False, True]
