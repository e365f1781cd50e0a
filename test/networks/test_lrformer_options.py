# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LRFormer's ablations: what its options change, and what that costs in its tables."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import TinyLRFormer

from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.model_card import ModelCard
from sparse_seg_ros.networks import NETWORKS, build_network, for_inference
from sparse_seg_ros.networks.lrformer.folded import FoldedBlock
from sparse_seg_ros.networks.lrformer.rival_heads import (
    CrissCross,
    DualAttention,
    ObjectContext,
    ask_channels,
)

# FLOPs in G at 512x512 and parameters in M, as Tables 7, 10 and 11 print them for LRFormer-S.
# For decoders of other widths than 384 they have 1 to 2 M more parameters than there are.
PUBLISHED = {'query_side=4': (38, None), 'query_side=8': (38, None), 'query_side=16': (40, 32),
             'query_side=32': (52, None), 'query_side=48': (74, None),
             'query_side=64': (108, None),
             'head=ocr': (48, 34), 'head=ppm': (82, 44), 'head=da': (94, 42), 'head=cc': (84, 42),
             'decoder_width=128': (27, 30), 'decoder_width=256': (32, 31),
             'decoder_width=384': (40, 32), 'decoder_width=512': (50, 37),
             'decoder_width=768': (79, 46), 'decoder_width=1024': (117, 58)}
SLOW = ('query_side=8', 'query_side=32', 'query_side=48', 'decoder_width=256',
        'decoder_width=512', 'decoder_width=768')  # between others
ALL = [*PUBLISHED, 'depthwise=none', 'depthwise=attention', 'depthwise=feed_forward']


@pytest.mark.parametrize('option', [option for option in PUBLISHED if option not in SLOW])
def test_cost_is_that_of_the_paper(option):
    with torch.device('meta'):
        network = build_network('lrformer_s', 150, (option,)).eval()
    gmacs, millions = PUBLISHED[option]
    assert count_module(network, 1, 3, 512, 512) / 1e9 == pytest.approx(gmacs, rel=0.04)
    parameters = sum(each.numel() for each in network.parameters()) / 1e6
    assert millions is None or parameters == pytest.approx(millions, rel=0.055)


@pytest.fixture(name='tiny')
def make_tiny(monkeypatch):
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)


@pytest.mark.parametrize('option', [option for option in ALL if option not in SLOW])
def test_a_network_with_an_option_is_saved_and_learns(option, tmp_path, tiny):
    torch.manual_seed(0)
    options = (option,) if 'decoder' not in option else ('decoder_width=24', 'depthwise=none')
    model = build_model(ModelCard('lrformer_t', ('a', 'b', 'c'), '', (0.0,) * 3, (1.0,) * 3,
                                  network_options=options))
    save_model(model, tmp_path / 'model.safetensors')
    again = load_model(tmp_path / 'model.safetensors')
    images = torch.randn(2, 3, 64, 96)
    seen = model.network(images)
    assert seen.shape == (2, 3, 8, 12)
    torch.testing.assert_close(again.network(images), seen)
    torch.testing.assert_close(for_inference(model.network)(images), seen, rtol=1e-3, atol=1e-4)
    model.network.train()(images).square().mean().backward()
    assert all(each.grad is not None for each in model.network.parameters())


@pytest.mark.parametrize('option, encoder, decoder', [
    ('decoder_width=24', True, True), ('head=ocr', True, False), ('query_side=8', False, True),
    ('depthwise=attention', False, True)])
def test_what_an_option_leaves_as_published_is_folded(option, encoder, decoder, tiny):
    torch.manual_seed(0)
    network = build_network('lrformer_t', 5, (option,)).double().eval()
    for norm in (each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    fast, images = for_inference(network), torch.randn(1, 3, 64, 96, dtype=torch.float64)
    for part, is_folded in ((fast.backbone, encoder), (fast.decode_head, decoder)):
        assert any(isinstance(each, FoldedBlock) for each in part.modules()) == is_folded
    with torch.inference_mode():
        torch.testing.assert_close(fast(images), network(images), rtol=0, atol=1e-9)


def test_without_options_the_network_is_the_published_one():
    torch.manual_seed(0)
    first = build_network('lrformer_t', 5)
    torch.manual_seed(0)
    second = build_network('lrformer_t', 5, ('query_side=16', 'depthwise=both', 'head=own'))
    assert first.state_dict().keys() == second.state_dict().keys()
    images = torch.randn(1, 3, 512, 512)  # its smallest map is as large as the grid
    with torch.inference_mode():
        torch.testing.assert_close(first.eval()(images), second.eval()(images))


@pytest.mark.parametrize(('options', 'words'), [
    (('head=psp',), 'must be one of own, ppm, ocr, da, cc'),
    (('width=3',), "unknown setting 'width'"), (('head',), 'must be such as'),
    (('query_side=2',), 'must be at least 4')])
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        build_network('lrformer_t', 5, options)


def test_options_of_a_network_without_any_are_refused():
    with pytest.raises(ValueError, match="network 'compact' has no options"):
        build_network('compact', 5, ('head=ppm',))
    with pytest.raises(ValueError, match="'network_options' name 'first_exit' twice; remove one"):
        build_network('segmenter_t', 5, ('first_exit=6', 'first_exit=8'))


def features(batch=1, height=4, width=5) -> torch.Tensor:
    return torch.randn(batch, 512, height, width, dtype=torch.float64)


@torch.no_grad()
def test_a_pixel_asks_its_row_and_its_column_and_itself_once():
    head, x = CrissCross((8, 8, 8, 8), 3).double().eval(), features()
    query, key, value = head.query(x)[0], head.key(x)[0], head.value(x)[0]
    want = torch.zeros_like(x[0])
    for y in range(4):
        for column in range(5):
            asked = [(y, other) for other in range(5)] + [
                (other, column) for other in range(4) if other != y]
            scores = torch.stack([query[:, y, column] @ key[:, a, b] for a, b in asked])
            for share, (a, b) in zip(scores.softmax(0), asked):
                want[:, y, column] += share * value[:, a, b]
    torch.testing.assert_close(head.ask_cross(x)[0], want)


@torch.no_grad()
def test_dual_attention_asks_all_pixels_and_all_channels():
    head, x = DualAttention((8, 8, 8, 8), 3).double().eval(), features(height=2, width=3)
    query, key, value = (part(x)[0].flatten(1) for part in (head.query, head.key, head.value))
    want = torch.stack([sum(share * value[:, other] for other, share in enumerate(
        torch.stack([query[:, n] @ key[:, m] for m in range(6)]).softmax(0)))
        for n in range(6)], 1)
    torch.testing.assert_close(head.ask_pixels(x)[0].flatten(1), want)
    flat = x[0].flatten(1)[:7]
    seen = ask_channels(x[:, :7])[0].flatten(1)
    for channel in range(7):
        alike = [float(flat[channel] @ flat[other]) for other in range(7)]
        weights = [math.exp(max(alike) - one - max(max(alike) - each for each in alike))
                   for one in alike]
        mixed = sum(weight / sum(weights) * flat[other] for other, weight in enumerate(weights))
        torch.testing.assert_close(seen[channel], mixed)


@torch.no_grad()
def test_object_context_describes_a_class_by_the_pixels_of_its_guess():
    head = ObjectContext((8, 8, 8, 8), 3).double().eval()
    x = torch.randn(1, 24, 2, 3, dtype=torch.float64)
    share, pixels = head.guess(x)[0].flatten(1).softmax(1), head.look(x)[0].flatten(1)
    objects = torch.stack([sum(share[c, n] * pixels[:, n] for n in range(6)) for c in range(3)], 1)
    queries = head.query(pixels.view(1, 512, 2, 3))[0].flatten(1)
    keys = head.key(objects[None, ..., None])[0, ..., 0]
    values = head.value(objects[None, ..., None])[0, ..., 0]
    context = torch.stack([values @ ((queries[:, n] @ keys) / 16).softmax(0) for n in range(6)], 1)
    want = head.join(torch.cat([head.answer(context.view(1, 256, 2, 3)),
                                pixels.view(1, 512, 2, 3)], 1))
    torch.testing.assert_close(head.think(x), want)
