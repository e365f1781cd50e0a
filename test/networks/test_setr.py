# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoders of SETR: size, and merged tokens that decode as if they had been copied before."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.vit.segmenter_vit import (
    DECODERS,
    SegmenterBase,
    SegmenterLarge,
    SegmenterViT,
)
from sparse_seg_ros.networks.vit.tokens import Tokens, unmerge


@pytest.mark.parametrize(('kind', 'macs'), [(SegmenterBase, 108), (SegmenterLarge, 363)])
def test_naive_takes_the_published_multiplications(kind, macs):
    with torch.device('meta'):
        network = kind(150, 'naive', 512).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 512, 512, device='meta'))
    assert counter.get_total_flops() / 2e9 == pytest.approx(macs, abs=1)


@pytest.mark.parametrize(('name', 'macs'), [('setr_naive_b', 108), ('setr_naive_l', 363)])
def test_a_named_one_takes_the_multiplications_of_the_papers_tables(name, macs):
    with torch.device('meta'):
        network, image = build_network(name, 150).eval(), torch.empty(1, 3, 512, 512)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize(('decoder', 'convolutions'), [  # inputs x outputs x area of each
    ('naive', [(768, 256, 1)]), ('pup', [(768, 256, 9), *[(256, 256, 9)] * 3]),
    ('mla', 4 * [(768, 256, 1), (256, 256, 9), (256, 128, 9), (128, 128, 9)])])
def test_base_has_the_parameters_of_its_layers(decoder, convolutions):
    with torch.device('meta'):
        network = build_network(f'setr_{decoder}_b', 19)
    dim, norms = 768, 4 if decoder == 'mla' else 1  # of four layers, or of the last
    blocks = 12 * (12 * dim ** 2 + 13 * dim)
    encoder = blocks + (3 * 256 + 1) * dim + (48 ** 2 + 2) * dim + 1000 * dim + 1000
    convolved = sum(a * b * area + 2 * b for a, b, area in convolutions)
    classifier = ((512 if decoder == 'mla' else 256) + 1) * 19
    assert sum(parameter.numel() for parameter in network.parameters()) == \
        encoder + norms * 2 * dim + convolved + classifier


@pytest.mark.parametrize(('name', 'scale'),
                         [('linear', 1), ('naive', 1), ('pup', 16), ('mla', 4)])
def test_merged_tokens_decode_as_their_copies_do(name, scale):
    generator = torch.Generator().manual_seed(0)
    decoder = DECODERS[name](64, 5).double().eval()
    merged, copied = [], []
    for _ in decoder.parts:
        values = torch.randn(2, 4, 64, generator=generator, dtype=torch.float64)
        groups = torch.randint(1, 4, (2, 1 + 6), generator=generator)
        groups[:, 0] = 0
        merged.append(Tokens(values, (2, 3), groups))
        copied.append(Tokens(unmerge(values, groups), (2, 3)))
    logits = decoder(*merged)
    assert logits.shape == (2, 5, 2 * scale, 3 * scale)
    assert torch.equal(logits, decoder(*copied))


@pytest.mark.parametrize('name', ['naive', 'pup', 'mla'])
def test_a_network_with_it_learns(name):
    torch.manual_seed(0)
    network = SegmenterViT(64, 16, 64, 4, 4, 5, name)
    logits = network(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 5, 64, 96)
    logits.square().sum().backward()
    still = {key for key, value in network.named_parameters() if value.grad is None}
    assert still == {'encoder.head.weight', 'encoder.head.bias'}


def test_a_decoder_is_given_the_tokens_after_its_layers():
    torch.manual_seed(0)
    network = SegmenterViT(32, 16, 64, 4, 4, 5, 'mla').eval()
    assert network.layers == [1, 2, 3, 4]
    counts = {1: 5, 2: 4, 3: 3, 4: 2}

    def drop_one(tokens, _):
        groups = torch.zeros(1, 5, dtype=torch.int64)
        return Tokens(tokens.values[:, 1:], tokens.grid_hw, groups)
    network.encoder.merges = {2: drop_one, 3: drop_one, 4: drop_one}
    for layers in ([4], [2, 4], [1, 2, 3, 4]):
        seen, entered = network.encoder(torch.zeros(1, 3, 32, 32), layers)
        assert [tokens.values.shape[1] for tokens in seen] == [counts[layer] for layer in layers]
        assert entered == list(counts.values())
