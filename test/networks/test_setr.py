# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoders of SETR: size, and merged tokens that decode as if they had been copied before."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

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
