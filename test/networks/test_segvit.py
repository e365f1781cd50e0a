# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoder of SegViT: its published cost, a literal computation, and merged tokens."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.networks.vit.segvit import AttentionToMaskDecoder
from sparse_seg_ros.networks.vit.segvit_vit import SegViTBase, SegViTLarge
from sparse_seg_ros.networks.vit.tokens import Tokens, unmerge

CLASSES, DIM, HALF = 5, 128, 64


def draw_decoder():
    torch.manual_seed(0)
    decoder = AttentionToMaskDecoder(DIM, CLASSES).double().eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return decoder


def draw_streams(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [Tokens(torch.randn(2, 1 + 6, DIM, generator=generator, dtype=torch.float64), (2, 3))
            for _ in range(3)]


@pytest.mark.parametrize(('kind', 'classes', 'size', 'macs'), [
    (SegViTBase, 150, 512, 120.9), (SegViTLarge, 150, 640, 637.9), (SegViTLarge, 171, 512, 383.9),
    (SegViTLarge, 59, 480, 321.6)])
def test_it_takes_the_published_multiplications(kind, classes, size, macs):
    """The paper multiplies masks and classes at the image's size, which comes on top of ours."""
    with torch.device('meta'):
        network = kind(classes, size).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size, size, device='meta'))
    enlarged = classes ** 2 * (size ** 2 - (size // 16) ** 2) / 1e9
    assert counter.get_total_flops() / 2e9 + enlarged == pytest.approx(macs, rel=0.003)


@pytest.mark.parametrize(('kind', 'total'), [
    (SegViTBase, 109_505_279), (SegViTLarge, 345_330_303)])
def test_parameters_are_those_of_three_stages_of_half_the_width_and_a_classifier(kind, total):
    with torch.device('meta'):
        network = kind(150)
    dim = network.encoder.cls_token.shape[2] // 2
    attention, perceptron, norms = 4 * (dim ** 2 + dim), 8 * dim ** 2 + 5 * dim, 6 * dim
    stage = 3 * (2 * attention + perceptron + norms) + 2 * dim ** 2 + 3 * dim
    count = sum(parameter.numel() for parameter in network.decoder.parameters())
    assert count == 3 * stage + 150 * dim + 151 * (dim + 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == total


def linear(x, t, name):
    return x @ t[f'{name}.weight'].T + t[f'{name}.bias']


def norm(x, t, name):
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    return x * t[f'{name}.weight'] + t[f'{name}.bias']


def attend(query, key, value):
    """One image, head by head: (C, d), (N, d), (N, d) -> (C, d), mean similarity (C, N)."""
    seen, similar = [], []
    for q, k, v in zip(*(x.split(32, dim=1) for x in (query, key, value))):
        similar.append(q @ k.T / 32 ** 0.5)
        weights = similar[-1].exp()
        seen.append(weights @ v / weights.sum(1, keepdim=True))
    return torch.cat(seen, 1), sum(similar) / len(similar)


def expected(streams, t):
    """Compute the scores of one image step by step."""
    classes, summed = t['classes'], 0
    for stage, tokens in enumerate(reversed(streams)):
        name = f'stages.{stage}'
        tokens = norm(linear(tokens, t, f'{name}.proj'), t, f'{name}.norm')
        for block in range(3):
            classes, similar = expected_layer(classes, tokens, t, f'{name}.blocks.{block}')
        summed = summed + similar
    shown = linear(classes, t, 'head').exp()
    shown = shown / shown.sum(1, keepdim=True)
    masks = 1 / (1 + (-summed).exp())
    return [[sum(shown[token, label] * masks[token, patch] for token in range(CLASSES))
             for patch in range(6)] for label in range(CLASSES)]


def expected_layer(classes, tokens, t, name):
    """Compute one layer of a stage: (C, d), (N, d) -> (C, d), mean similarity (C, N)."""
    own = linear(classes, t, f'{name}.among_classes.qkv').split(HALF, dim=1)
    own = linear(attend(*own)[0], t, f'{name}.among_classes.proj')
    classes = norm(classes + own, t, f'{name}.norm1')
    seen, similar = attend(linear(classes, t, f'{name}.query'), linear(tokens, t, f'{name}.key'),
                           linear(tokens, t, f'{name}.value'))
    classes = norm(classes + linear(seen, t, f'{name}.proj'), t, f'{name}.norm2')
    hidden = linear(classes, t, f'{name}.mlp.fc1').clamp(min=0)
    return norm(classes + linear(hidden, t, f'{name}.mlp.fc2'), t, f'{name}.norm3'), similar


@torch.no_grad()
def test_it_gives_what_a_literal_computation_gives():
    decoder, streams = draw_decoder(), draw_streams()
    logits = decoder(*streams)
    assert logits.shape == (2, CLASSES, 2, 3)
    for image in range(2):
        scores = expected([tokens.values[image, 1:] for tokens in streams], decoder.state_dict())
        torch.testing.assert_close(logits[image].flatten(1).exp(),
                                   torch.tensor(scores, dtype=torch.float64), atol=1e-12, rtol=0)


@torch.no_grad()
def test_patches_of_one_token_get_its_logits():
    decoder, streams = draw_decoder(), draw_streams()
    groups = torch.tensor([[0, 1, 1, 2, 3, 3, 1], [0, 3, 2, 1, 1, 2, 3]])
    merged = [Tokens(tokens.values[:, :4], (2, 3), groups) for tokens in streams]
    alone = decoder(*(Tokens(tokens.values[:, :4], (1, 3)) for tokens in streams))
    by_patch = unmerge(alone.flatten(2).mT, groups[:, 1:] - 1)
    torch.testing.assert_close(decoder(*merged).flatten(2).mT, by_patch)


def test_it_looks_at_the_layers_of_the_release_which_are_not_normalised_again():
    with torch.device('meta'):
        assert SegViTBase(3).layers == [6, 8, 12]
        assert SegViTLarge(3).layers == [8, 16, 24]
        assert isinstance(SegViTBase(3).encoder.norm, torch.nn.Identity)
    with pytest.raises(ValueError, match="depth must be a multiple of 6 for decoder 'atm', got 4"):
        SegmenterViT(32, 16, 64, 4, 1, 3, 'atm')
    with pytest.raises(ValueError, match="dim must be a multiple of 64 for decoder 'atm', got 96"):
        AttentionToMaskDecoder(96, 3)


def test_a_network_with_it_learns_and_survives_half_precision():
    torch.manual_seed(0)
    network = SegmenterViT(32, 16, 64, 6, 1, 3, 'atm')
    with torch.autocast('cpu', torch.float16):
        logits = network(torch.randn(2, 3, 32, 48))
    assert logits.isfinite().all()
    logits.square().sum().backward()
    still = {key for key, value in network.named_parameters() if value.grad is None}
    assert still == {'encoder.head.weight', 'encoder.head.bias'}
