# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Merging in one layer only, by share, and in every layer: numbers of tokens, and what merges."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.bench.merging import RIVALS, Setting, describe, run
from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.choices import share_of, up_to
from sparse_seg_ros.methods.algm.merging import merge_global
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterSmall, SegmenterViT

CLASSES, DEPTH = 5, 4


@pytest.fixture(name='network')
def draw_network():
    torch.manual_seed(0)
    return SegmenterViT(128, 16, 64, DEPTH, 4, CLASSES).double().eval()


def draw_images(batch=3, height=128, width=96):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)


def counts(network, merging, images):
    algm.apply(network, merging)
    with torch.inference_mode():
        network(images)
    return algm.token_counts(network)


@pytest.mark.parametrize(('layers', 'row'), [
    ((1, 3), [31, 31, 26, 26]),  # 6 of 12 windows, then round(0.33 * 15) = 5 of 15 even tokens
    ((2, 0), [49, 31, 31, 31]), ((0, 3), [49, 49, 41, 41]), ((0, 0), [49] * 4)])
def test_a_share_merges_as_many_of_any_image_and_no_layer_merges_nothing(network, layers, row):
    merging = algm.Merging(layers, rule='share', shares=(0.5, 0.33))
    assert counts(network, merging, draw_images()) == [row] * 3
    assert counts(network, merging, torch.zeros_like(draw_images(1))) == [row]


def test_the_default_shares_give_the_token_counts_and_multiplications_of_the_paper():
    with torch.device('meta'):
        network, image = SegmenterSmall(150).eval(), torch.empty(1, 3, 512, 512)
    algm.apply(network, algm.Merging(rule='share'))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    assert algm.token_counts(network) == [[641] * 4 + [500] * 8]
    assert counter.get_total_flops() / 2e9 == pytest.approx(18.8, rel=0.005)


def test_images_of_a_batch_that_keep_as_many_go_together_and_get_what_they_get_alone(network):
    images = draw_images()
    for merging in (algm.Merging((1, 3), rule='share'), algm.Merging(rule='every')):
        algm.apply(network, merging)
        assert network.images_at_once(3) == 3
        together = network(images)
        for image, want in zip(images, together):
            torch.testing.assert_close(network(image[None])[0], want, atol=1e-9, rtol=0)
    algm.apply(network, algm.Merging((1, 3)))
    assert network.images_at_once(3) == 1


def test_every_layer_merges_as_many_tokens_and_never_more_than_half(network):
    merging = algm.Merging(rule='every', tokens_per_layer=7)
    assert counts(network, merging, draw_images()) == [[42, 35, 28, 21]] * 3
    assert network.multiple == 16
    merging = algm.Merging(rule='every', tokens_per_layer=1000)
    assert counts(network, merging, draw_images(1)) == [[25, 13, 7, 4]]


def test_in_every_layer_those_merge_whose_keys_are_most_similar(network):
    """Compute the first layer again from its weights; keys are averaged over heads."""
    image, block = draw_images(1), network.encoder.blocks[0]
    tokens = network.encoder.embed(image)
    weight, bias = block.attn.qkv.weight[64:128], block.attn.qkv.bias[64:128]
    key = (block.norm1(tokens.values) @ weight.T + bias)[0].view(49, 4, 16).mean(1)
    similar = [[float(F.cosine_similarity(key[even], key[odd], dim=0))
                for odd in range(1, 49, 2)] for even in range(2, 49, 2)]
    ranked = sorted(range(24), key=lambda even: -max(similar[even]))[:7]
    pairs = {2 + 2 * even: 1 + 2 * similar[even].index(max(similar[even])) for even in ranked}
    algm.apply(network, algm.Merging(rule='every', tokens_per_layer=7))
    seen = {}
    merge = network.encoder.merges[1]
    network.encoder.merges = {1: lambda *given: seen.setdefault('after', merge(*given))}
    network(image)
    groups = seen['after'].groups[0].tolist()
    shared = {(a, b) for a in range(49) for b in range(a) if groups[a] == groups[b]}
    by_match = {}
    for even, odd in pairs.items():
        by_match.setdefault(odd, {odd}).add(even)
    assert shared == {(a, b) for group in by_match.values() for a in group for b in group if b < a}


def test_features_choose_and_values_are_averaged(network):
    tokens = network.encoder.embed(draw_images(1, 32, 32))  # tokens 0 to 4
    features = torch.tensor([[[1.0, 0], [1, 0], [0, 1], [0, 1], [0.6, 0.8]]])
    after = merge_global(tokens, partial(up_to, most=1), features)
    assert after.groups.tolist() == [[0, 2, 3, 3, 1]]  # 2 went to 3
    torch.testing.assert_close(after.values[0, 3], tokens.values[0, 2:4].mean(0))


def test_shares_are_rounded_and_bounded():
    similarity = torch.zeros(2, 7)
    assert [share_of(similarity, share) for share in (0, 0.3, 0.5, 1)] == [0, 2, 4, 7]
    assert [up_to(similarity, most) for most in (0, 3, 9)] == [0, 3, 7]


def test_the_benchmark_compares_in_one_run(capsys):
    setting = Setting('segmenter_t', 3, [(64, 96)], (1,), 1)
    figures = run(setting)
    assert [row['merging'] for row in figures['rows']] == [*RIVALS]
    for row in figures['rows']:
        assert row['images_per_second'] > 0 and row['tokens'][0] <= 25
    plain, whole, local, anywhere, every = figures['rows'][:5]
    assert plain['ratio'] == 1 and plain['tokens'] == [25] * 12
    assert whole['tokens'] == [16] * 4 + [13] * 8  # 3 of 6 windows, round(0.44 * 7) of 7 pairs
    assert local['tokens'] == [16] * 12 and anywhere['tokens'] == [25] * 4 + [20] * 8
    assert [row['tokens'] for row in figures['rows'][5:8]] == \
        [[25] * 4 + [13] * 8] * 3  # 24 patches: 3 x 4 clusters, 12 of 24
    assert every['tokens'][-1] == whole['tokens'][-1] and plain['giga_macs'] > every['giga_macs']
    assert 0 < figures['overhead'][0]['fraction'] < 1
    assert 'images/s' in describe(figures) and capsys.readouterr().out == ''
