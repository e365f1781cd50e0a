# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Token merging inside a Segmenter: put in, taken out, and the same whatever else is around."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.choices import at_least
from sparse_seg_ros.methods.algm.merging import merge_global, merge_local
from sparse_seg_ros.methods.algm.settings import ALGM_RULES, Merging
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.request import DEFAULTS
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.timing import Stopwatch

CLASSES, DEPTH = 5, 4
LAYERS = (1, 3)


def draw_network(decoder='mask'):
    torch.manual_seed(0)
    return SegmenterViT(128, 16, 64, DEPTH, 4, CLASSES, decoder).double().eval()


def draw_images(batch=3, height=128, width=96, seed=0):
    """Draw flat areas, so that some tokens resemble each other, and more or less noise."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.randn(batch, 3, 4, 3, generator=generator, dtype=torch.float64)
    images = F.interpolate(flat, (height, width))
    loudness = torch.rand(batch, 1, 1, width, generator=generator, dtype=torch.float64)
    return images + loudness * torch.randn(images.shape, generator=generator, dtype=torch.float64)


@pytest.fixture(name='network', params=['linear', 'mask', 'mla'])
def network_with_decoder(request):
    return draw_network(request.param)


@pytest.mark.parametrize('rule', ['adaptive', 'fixed'])
def test_tokens_become_fewer_where_they_merge(network, rule):
    algm.apply(network, Merging(LAYERS, threshold=0.5, rule=rule))
    with torch.inference_mode():
        assert network(draw_images()).shape == (3, CLASSES, 128, 96)
    counts = algm.token_counts(network)
    assert len(counts) == 3 and len({tuple(row) for row in counts}) > 1
    for first, second, third, fourth in counts:
        assert 1 + 8 * 6 > first == second > third == fourth >= 1 + 8 * 6 // 8


def test_without_merging_all_tokens_are_counted(network):
    with pytest.raises(ValueError, match='token counts are known after a forward pass; run'):
        algm.token_counts(network)
    network(draw_images(2))
    assert algm.token_counts(network) == [[1 + 8 * 6] * DEPTH] * 2


def test_removing_restores_every_bit(network):
    images, weights = draw_images(), network.state_dict()
    before = network(images)
    algm.apply(network, Merging(LAYERS, threshold=0.5, window=(4, 2), batch_rule='shared'))
    assert not torch.equal(network(images), before)
    assert network.state_dict().keys() == weights.keys()
    algm.remove(network)
    assert torch.equal(network(images), before)
    assert network.multiple == 16 and not network.counts_are_shared
    algm.remove(network)
    assert torch.equal(network(images), before)


def test_applying_again_replaces(network):
    images = draw_images()
    algm.apply(network, Merging(LAYERS, threshold=0.5))
    want = network(images)
    algm.apply(network, Merging((2, 4), 0.1, 'fixed', (4, 2)))
    assert not torch.equal(network(images), want)
    algm.apply(network, Merging(LAYERS, threshold=0.5))
    assert torch.equal(network(images), want)


@pytest.mark.parametrize('batch_rule', ['single', 'shared'])
@pytest.mark.parametrize('rule', ['adaptive', 'fixed'])
def test_a_batch_gives_what_its_images_give_alone(network, rule, batch_rule):
    images = draw_images()
    algm.apply(network, Merging(LAYERS, threshold=0.5, rule=rule, batch_rule=batch_rule))
    together, counts = network(images), algm.token_counts(network)
    assert len({tuple(row) for row in counts}) > 1
    for image, want, row in zip(images, together, counts):
        assert torch.equal(network(image[None])[0], want)
        assert algm.token_counts(network) == [row]


def test_in_shared_training_a_batch_merges_as_many_as_the_fewest():
    images, network = draw_images(), draw_network('linear')
    algm.apply(network, Merging(LAYERS, threshold=0.5, batch_rule='shared'))
    network(images)
    alone = [row[0] for row in algm.token_counts(network)]
    network.train()(images).square().sum().backward()
    together = algm.token_counts(network)
    assert together[0][0] == max(alone) > min(alone)
    assert together == [together[0]] * 3
    assert all(parameter.grad.isfinite().all() for name, parameter in
               network.named_parameters() if not name.startswith('encoder.head'))


def test_training_with_images_by_themselves_reaches_all_weights():
    network = draw_network().train()
    algm.apply(network, Merging(LAYERS, threshold=0.5))
    network(draw_images()).square().sum().backward()
    assert len({tuple(row) for row in algm.token_counts(network)}) > 1
    still = {key for key, value in network.named_parameters() if value.grad is None}
    assert still == {'encoder.head.weight', 'encoder.head.bias'}


def test_above_similarity_one_the_output_stays(network):
    images = draw_images()
    want = network(images)
    none = partial(at_least, threshold=1.1)
    network.encoder.merges = {1: lambda tokens, _: merge_local(tokens, (2, 2), none),
                              3: lambda tokens, _: merge_global(tokens, none)}
    torch.testing.assert_close(network(images), want, atol=1e-9, rtol=0)
    assert algm.token_counts(network) == [[1 + 8 * 6] * DEPTH] * 3


@pytest.mark.parametrize('decoder', ['linear', 'mask'])
def test_tokens_merge_after_attention_and_come_back_after_the_decoder(decoder):
    network, image = draw_network(decoder), draw_images(1)
    encoder, x, groups = network.encoder, network.encoder.embed(image).values, None
    half = partial(at_least, threshold=0.5)
    for layer, block in enumerate(encoder.blocks, start=1):
        x = x + block.attn(block.norm1(x))
        if layer in LAYERS:
            tokens = Tokens(x, (8, 6), groups)
            tokens = merge_local(tokens, (2, 2), half) if layer == 1 \
                else merge_global(tokens, half)
            x, groups = tokens.values, tokens.groups
        x = x + block.mlp(block.norm2(x))
    line = Tokens(encoder.norm(x), (1, x.shape[1] - 1))  # as if it were a grid without merging
    logits = network.decoder(line)[0, :, 0]  # (C, T - 1)
    patches = torch.stack([logits[:, token - 1] for token in groups[0, 1:].tolist()], 1)
    want = F.interpolate(patches.view(1, CLASSES, 8, 6), (128, 96), mode='bilinear')
    algm.apply(network, Merging(LAYERS, threshold=0.5, rule='fixed'))
    torch.testing.assert_close(network(image), want, atol=1e-9, rtol=0)


@pytest.mark.parametrize('rule', ['adaptive', 'fixed'])
def test_merging_identical_tokens_leaves_the_output(rule):
    """The decoder is linear: its other kind weighs class embeddings against the tokens left."""
    network, images = draw_network('linear').float(), draw_images().float()
    with torch.no_grad():  # without positions, on grey, every token is the class token
        network.encoder.pos_embed.zero_()
        network.encoder.patch_embed.proj.weight.zero_()
        network.encoder.cls_token.normal_()
        network.encoder.patch_embed.proj.bias.copy_(network.encoder.cls_token[0, 0])
        want = network(images)
        algm.apply(network, Merging(LAYERS, rule=rule))
        torch.testing.assert_close(network(images), want, atol=1e-5, rtol=0)
    assert algm.token_counts(network)[0][0] == 1 + 8 * 6 // 4


@pytest.mark.parametrize('seed', range(20))
def test_any_grid_window_and_threshold_merges_whole_groups(seed):
    chance, network = random.Random(seed), draw_network()
    window = chance.choice([(2, 2), (1, 2), (2, 4), (3, 3)])
    rows, columns = (chance.randint(1, 3) * side for side in window)
    images = draw_images(chance.randint(1, 2), 16 * rows, 16 * columns, seed)
    layers = tuple(sorted(chance.sample(range(1, DEPTH + 1), 2)))
    rule = chance.choice((*ALGM_RULES, 'every'))
    algm.apply(network, Merging(layers, chance.uniform(-1, 1), rule, window))
    with torch.inference_mode():
        together = network(images)
        counts = algm.token_counts(network)
        for image, row, want in zip(images, counts, together):
            (tokens,), alone = network.encoder(image[None], [DEPTH])
            assert alone == row and row[-1] == tokens.values.shape[1]
            assert tokens.sizes.sum() == 1 + rows * columns
            assert set(tokens.groups[0].tolist()) == set(range(row[-1]))
            assert tokens.groups[0].tolist().count(0) == 1
            patches, groups = network.decoder(tokens)[0].flatten(1), tokens.groups[0, 1:]
            is_equal = (patches[:, :, None] == patches[:, None]).all(0)  # (N, N)
            assert is_equal[groups[:, None] == groups].all()
            torch.testing.assert_close(network(image[None])[0], want, atol=1e-9, rtol=0)


def test_images_are_padded_to_whole_windows(network):
    algm.apply(network, Merging(LAYERS, threshold=0.5, window=(2, 3)))
    assert network.multiple == 96
    images = draw_images(2)[..., :90, :70]
    assert run_padded(network, images).shape == (2, CLASSES, 90, 70)
    with torch.inference_mode():
        seen = Dense(network)(images, DEFAULTS, Stopwatch())
    assert seen.labels.shape == seen.uncertainty.shape == (2, 90, 70)


@pytest.mark.parametrize(('settings', 'text'), [
    ({'threshold': 1.01}, r'threshold must be a cosine similarity in \[-1, 1\], got 1.01; the'),
    ({'threshold': -2}, r'threshold must be a cosine similarity in \[-1, 1\], got -2; the'),
    ({'threshold': float('nan')}, r'in \[-1, 1\], got nan'),
    ({'layers': (0, 5)}, r'with 1 <= first < second <= 4, the blocks of this network, or 0 for '),
    ({'layers': (1, 5)}, r'first < second <= 4, the blocks .*, or 0 for none, got \(1, 5\); the'),
    ({'layers': (3, 3)}, r'layers must be \(first, second\) with .*, got \(3, 3\); the paper'),
    ({'layers': (1,)}, r'layers must be \(first, second\), from 1, or 0 .*, got \(1,\); the'),
    ({'layers': (-1, 3)}, r'layers must be \(first, second\), from 1, .*, got \(-1, 3\)'),
    ({'layers': (1, 'x')}, r"layers must be \(first, second\), from 1, .*, got \(1, 'x'\)"),
    ({'window': (2, 1.5)}, r'window must be \(rows, columns\) .* got \(2, 1.5\)'),
    ({'shares': (0.5, 1.1)}, r'shares must be fractions of .* in \[0, 1\], got \(0.5, 1.1\)'),
    ({'shares': 0.5}, r'shares must be fractions of .* in \[0, 1\], got 0.5'),
    ({'tokens_per_layer': -1}, r'tokens_per_layer must be at least 0, got -1'),
    ({'window': (1, 1)}, r'window must be \(rows, columns\) of two patches or more, got \(1, 1\)'),
    ({'window': (0, 2)}, r'window must be \(rows, columns\) .* got \(0, 2\); the paper takes'),
    ({'rule': 'fixd'}, "unknown rule 'fixd'; did you mean 'fixed'?"),
    ({'batch_rule': 'share'}, "unknown batch_rule 'share'; did you mean 'shared'?"),
])
def test_settings_that_do_not_fit_are_refused(settings, text):
    network = draw_network()
    with pytest.raises(ValueError, match=text):
        algm.apply(network, Merging(**{'layers': LAYERS, **settings}))
    assert not network.encoder.merges


def test_a_window_that_does_not_divide_the_grid_is_refused(network):
    algm.apply(network, Merging(LAYERS))
    with pytest.raises(ValueError, match=r'window \(2, 2\) must divide the grid of patches, got '
                                         r'8 x 5; pad the image, or take another window'):
        network(draw_images()[..., :80])


@pytest.mark.parametrize('verb', [algm.apply, algm.remove, algm.token_counts])
def test_a_network_without_tokens_is_refused(verb):
    with pytest.raises(ValueError, match='needs the blocks of a SegmenterViT, got Compact; build'):
        verb(Compact(CLASSES))
