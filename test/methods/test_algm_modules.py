# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which modules merge in which layer (Table 5b), and what a merged token is (Table 6)."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from algm_oracle import above, assert_equal, average, draw_tokens, local_groups, windows_of

from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.choices import above_mean, at_least, share_of
from sparse_seg_ros.methods.algm.merging import merge_global, merge_local, spread
from sparse_seg_ros.methods.algm.settings import Merging
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.networks.vit.tokens import unmerge

DEPTH = 4


@pytest.fixture(name='network')
def draw_network():
    torch.manual_seed(0)
    return SegmenterViT(128, 16, 64, DEPTH, 4, 5).double().eval()


def draw_images(batch=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, 128, 96, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(('layers', 'kinds', 'row'), [  # of Table 5b: 49 tokens, 12 windows
    ((1, 0), ('local', 'global'), [31] * 4),  # CLAP -
    ((1, 0), ('global', 'global'), [37] * 4),  # GBM -: 12 of 24 even tokens
    ((0, 3), ('local', 'global'), [49, 49, 37, 37]),  # - GBM
    ((1, 3), ('global', 'global'), [37, 37, 28, 28]),  # GBM GBM: then 9 of 18
    ((1, 3), ('local', 'global'), [31, 31, 23, 23]),  # CLAP GBM: then round(7.5) of 15
    ((1, 3), ('local', 'local'), [31, 31, 22, 22]),  # 3 of the 6 windows left
    ((3, 4), ('local', 'local'), [49, 49, 31, 22])])
def test_every_row_of_the_table_of_modules_merges_as_many_as_it_says(network, layers, kinds, row):
    algm.apply(network, Merging(layers, rule='share', shares=(0.5, 0.5), kinds=kinds))
    with torch.inference_mode():
        network(draw_images())
    assert algm.token_counts(network) == [row] * 2
    has_windows = any(layer and kind == 'local' for layer, kind in zip(layers, kinds))
    assert network.multiple == (32 if has_windows else 16)


def test_each_global_merging_has_the_threshold_of_its_own_layer(network):
    kinds = ('global', 'global')
    algm.apply(network, Merging((2, 3), kinds=kinds))
    tokens = network.encoder.embed(draw_images(1))
    for layer in (2, 3):
        want = merge_global(tokens, partial(above_mean, layer=layer))
        got = network.encoder.merges[layer](tokens, None)
        assert torch.equal(got.values, want.values)
    algm.apply(network, Merging((2, 3), 0.3, 'fixed', kinds=kinds))
    want = merge_global(tokens, partial(at_least, threshold=0.3))
    assert torch.equal(network.encoder.merges[2](tokens, None).values, want.values)


@pytest.mark.parametrize('seed', range(20))
def test_windows_that_are_left_merge_in_a_second_layer_as_loops_say(seed):
    tokens, window, threshold = draw_tokens(seed)
    once = merge_local(tokens, window, partial(share_of, share=0.4))
    twice = merge_local(once, window, above(threshold))
    reference, chosen = [], []
    for values, groups, sizes in zip(once.values.tolist(), once.groups.tolist(),
                                     once.sizes.tolist()):
        patches = [values[group] for group in groups]
        found = [members for members in local_groups(patches, tokens.grid_hw, window, threshold)
                 if sizes[groups[members[0]]] == 1]
        chosen.append([[groups[i] for i in members] for members in found])
    fewest = min(map(len, chosen))
    for values, merged, sizes in zip(once.values.tolist(), chosen, once.sizes.tolist()):
        gone = {token for members in merged[:fewest] for token in members}
        parts = [[0], *merged[:fewest], *([i] for i in range(1, len(values)) if i not in gone)]
        reference.append((parts, [average([values[i] for i in part], [1] * len(part))
                                  for part in parts], [sum(sizes[i] for i in part)
                                                       for part in parts]))
    assert_equal(twice, reference, once.groups)
    assert all(len({patch_groups[i] for i in members}) in (1, len(members))
               for patch_groups in twice.groups.tolist()
               for members in windows_of(tokens.grid_hw, window))


@pytest.mark.parametrize('seed', range(10))
def test_a_random_token_stands_for_those_that_merge_the_same_in_any_company(seed):
    tokens, window, threshold = draw_tokens(seed)
    mean, drawn = (merge_global(merge_local(tokens, window, above(threshold), picks),
                                partial(share_of, share=0.5), picks=picks)
                   for picks in (False, True))
    assert drawn.values.shape[1] == drawn.sizes.shape[1] <= tokens.values.shape[1]
    for image in range(len(tokens.values)):
        for token in range(drawn.values.shape[1]):
            members = tokens.values[image][drawn.groups[image] == token]
            assert (members == drawn.values[image, token]).all(1).sum() == 1
    if len(tokens.values) == 1:
        assert torch.equal(mean.values[:, 0], drawn.values[:, 0])
    alone = merge_local(tokens, window, partial(share_of, share=0.5), True)
    for image, values in enumerate(tokens.values):
        one = type(tokens)(values[None], tokens.grid_hw)
        assert torch.equal(merge_local(one, window, partial(share_of, share=0.5), True).values[0],
                           alone.values[image])


@pytest.mark.parametrize('values', ['average', 'random'])
def test_without_reduction_tokens_get_what_they_would_merge_into(network, values):
    tokens = network.encoder.embed(draw_images())
    settings = {'rule': 'share', 'values': values, 'layers': (1, 3)}
    algm.apply(network, Merging(**settings))
    merged = network.encoder.merges[1](tokens, None)
    algm.apply(network, Merging(reduces=False, **settings))
    alike = network.encoder.merges[1](tokens, None)
    assert alike.groups is None and merged.values.shape[1] < 49
    assert torch.equal(alike.values, unmerge(merged.values, merged.groups))
    logits = network(draw_images())
    assert algm.token_counts(network) == [[49] * DEPTH] * 2
    assert network.images_at_once(2) == 2
    algm.remove(network)
    assert not torch.equal(network(draw_images()), logits)


@pytest.mark.parametrize('rule', ['adaptive', 'fixed'])
@torch.inference_mode()
def test_without_reduction_an_image_gives_what_it_gives_alone(network, rule):
    images = draw_images(3) * torch.tensor([0.1, 1.0, 10.0])[:, None, None, None]
    algm.apply(network, Merging((1, 3), threshold=0.3, rule=rule, reduces=False))
    for image, want in zip(images, network(images)):
        torch.testing.assert_close(network(image[None])[0], want, atol=1e-9, rtol=0)


def test_where_nothing_merges_nothing_is_spread(network):
    tokens = network.encoder.embed(draw_images(1))
    assert spread(tokens, tokens) is tokens


@pytest.mark.parametrize(('settings', 'text'), [
    ({'kinds': ('global', 'local')}, r'kinds must not be \(global, local\): windows of the image'),
    ({'kinds': ('local',)}, r"kinds must be two of 'local' and 'global', got \('local',\); the"),
    ({'kinds': ('local', 'x')}, r"kinds must be two of .*, got \('local', 'x'\)"),
    ({'values': 'mean'}, "unknown values 'mean'; known: average, random"),
    ({'rule': 'elvit', 'values': 'random'}, "values 'random' and reduces False are for the rules"),
    ({'rule': 'every', 'reduces': False}, "adaptive, fixed, share, got rule 'every'"),
    ({'keep': 0.0}, r'keep must be a fraction of the tokens in \(0, 1\], got 0.0; ELViT'),
    ({'keep': math.nan}, r'keep must be a fraction .* got nan')])
def test_settings_that_do_not_go_together_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        Merging(**settings)


def test_a_single_layer_may_have_either_kind():
    assert [step.kind for step in Merging((0, 2), kinds=('global', 'local')).steps] == ['local']
