# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ALGM as a method: from its YAML to labels, uncertainty, and a map of what merged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_algm, tiny_merging_segmenter, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros import pictures
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.method import Algm, number_shared
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.sliding import Windows, run_sliding
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.timing import Stopwatch

CLASSES = 11
MERGED = Request(wants=frozenset(['merged']))



def draw_images(batch=1, height=61, width=97):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, height, width, generator=generator)


@torch.inference_mode()
def test_labels_and_uncertainty_are_read_from_the_logits_of_all_patches():
    method, images = tiny_algm(temperature=2.0), draw_images()
    assert not method.limits()
    output = method(images, Request(wants=frozenset(['confidence'])), Stopwatch())
    logits = run_padded(method.network, images) / 2
    assert logits.shape == (1, CLASSES, 61, 97)
    entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1) / math.log(CLASSES)
    assert torch.equal(output.labels.long(), logits.argmax(1))
    torch.testing.assert_close(output.uncertainty, entropy)
    torch.testing.assert_close(output.confidence, logits.softmax(1).max(1)[0])
    assert output.refined is None and output.merged is None


@torch.inference_mode()
def test_the_map_says_which_pixels_share_a_token():
    method, images = tiny_algm(), draw_images(2)
    merged = method(images, MERGED, Stopwatch()).merged
    assert merged.shape == (2, 61, 97) and merged.dtype == torch.int32
    tokens, = method.network.encoder(torch.nn.functional.pad(
        images, (0, 31, 0, 3), mode='replicate'), [2])[0]
    for image in range(2):
        groups = tokens.groups[image, 1:].tolist()
        for y in range(61):
            group = groups[y // 16 * 8 + y % 97 // 16]
            want = group if groups.count(group) > 1 else 0
            assert merged[image, y, y % 97] == want
    assert len(merged[0].unique()) >= 4 and (merged[0] == 0).any()


@torch.inference_mode()
def test_tokens_of_different_windows_differ_and_the_map_has_the_size_of_the_image():
    method = tiny_algm(scale=0.5, windows=Windows((32, 32), (32, 32)))
    merged = method(draw_images(1, 122, 194), MERGED, Stopwatch()).merged
    assert merged.shape == (1, 122, 194)
    seen = [set(merged[0, top:top + 56, left:left + 60].unique().tolist()) - {0}
            for top in (0, 64) for left in (0, 64)]  # where no later window lies on top
    assert [len(tokens) for tokens in seen] == [1] * 4 and len(set().union(*seen)) == 4


@torch.inference_mode()
def test_windows_give_what_sliding_gives():
    windows, images = Windows((32, 64), (16, 64)), draw_images()
    method = tiny_algm(windows=windows)
    want = run_sliding(method.network, images, windows)
    assert torch.equal(method.coarse_logits(images), want)
    whole = tiny_algm().coarse_logits(images)
    assert whole.shape == want.shape and not torch.equal(whole, want)


@torch.inference_mode()
def test_kept_is_the_fraction_of_tokens_left():
    method, images = tiny_algm(), draw_images(2, 64, 96)
    seen = method(images, MERGED, Stopwatch())  # 24 patches: 2 of 6 windows, 3 of 9 pairs
    assert seen.work.kept() == pytest.approx((24 - 6 - 3) / 24) and seen.merged.any()
    seen = method.with_merging(None)(images, MERGED, Stopwatch())
    assert seen.work.kept() == 1 and not seen.merged.any()
    assert method(images, MERGED, Stopwatch()).work.kept() < 1  # as before


def test_a_segmenter_makes_the_map_for_those_who_ask():
    segment, image = tiny_merging_segmenter(), street_image()
    assert segment(image).merged is None
    seen = segment(image, wants=('merged',))
    assert seen.merged.shape == image.shape[:2] and seen.merged.dtype == np.int32
    picture = pictures.merged(seen.merged)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    assert (picture[seen.merged == 0] == 32).all()
    colors = {tuple(picture[seen.merged == token][0]) for token in np.unique(seen.merged)}
    assert len(colors) == len(np.unique(seen.merged))


def test_a_method_that_merges_nothing_has_no_map():
    model = tiny_model(refines=False)
    segment = Segmenter(Dense(model.network), load_labels('camvid'), (127.5,) * 3, (127.5,) * 3)
    with pytest.raises(ValueError, match="this model has no optional output 'merged'; known"):
        segment(street_image(), wants=('merged',))


def test_patches_are_numbered_by_the_token_they_share():
    groups = torch.tensor([[[0, 1, 1], [2, 0, 3]], [[0, 1, 2], [3, 4, 5]]])
    assert number_shared(groups).tolist() == [[[1, 2, 2], [0, 1, 0]], [[0] * 3] * 2]


def test_a_network_without_tokens_is_refused():
    with pytest.raises(ValueError, match='needs the blocks of a SegmenterViT, got Compact; build'):
        Algm(Compact(CLASSES), algm.Merging())


@pytest.fixture(name='folder', scope='module')
def save_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    card = {'network': 'segmenter_t', 'mean': (127.5,) * 3, 'std': (127.5,) * 3}
    save_model(tiny_model(refines=False, **card), folder / 'vit.safetensors')
    save_model(tiny_model(refines=False), folder / 'cnn.safetensors')
    return folder


def load(folder, text, weights='vit'):
    path = folder / 'method.yaml'
    path.write_text(f'method: algm\nweights: {weights}.safetensors\n{text}')
    return ss.load(path, device='cpu', precision='fp32')


def test_a_method_file_says_how_tokens_merge(folder):
    segment = load(folder, 'scale: 1.0\nmerge_layers: [1, 7]\nmerge_rule: share\n'
                           'merge_shares: [1, 0.5]\nmerge_window: [2, 1]\nwindow: [64, 64]\n'
                           'stride: [32, 32]\n')
    assert segment.description['method'] == 'algm'
    assert segment.method.windows == ((64, 64), (32, 32))
    seen = segment(street_image(), wants=('merged',))
    assert seen.labels.shape == (96, 128) and (seen.merged > 0).all()
    assert [list(call.counts) for call in seen.work.calls] == 6 * [[9] * 6 + [7] * 6]


@pytest.mark.parametrize(('text', 'weights', 'words'), [
    ('window: [512]', 'vit', r'of 2 whole numbers or null, such as \[512, 512\], got \[512\]'),
    ('window: [64, 64]\nstride: [1.5, 2]', 'vit', 'of 2 whole numbers or null'),
    ('stride: [64, 64]', 'vit', "setting 'stride' .* needs a 'window', such as"),
    ('window: [48, 64]', 'vit', 'window sides must be multiples of 32 and strides from 1 to the'),
    ('window: [64, 64]\nstride: [65, 64]', 'vit', 'window sides must be multiples of 32'),
    ('merge_layers: [1, 13]', 'vit', r'first < second <= 12, the blocks .*, got \(1, 13\)'),
    ('merge_window: [2]', 'vit', r"'merge_window' must be a list of 2 whole numbers, got \[2\]"),
    ('', 'cnn', 'token merging needs the blocks of a SegmenterViT, got Compact; build'),
])
def test_settings_that_do_not_fit_are_refused(folder, text, weights, words):
    with pytest.raises(ValueError, match=words):
        load(folder, text, weights)


def test_multiply_accumulates_are_those_of_the_tokens_left():
    method, images = tiny_algm(), draw_images(2, 64, 96)
    whole = method.count_macs((64, 96))['dense']
    merged = method(images, MERGED, Stopwatch()).work  # 25 tokens; 19 and then 16 are left
    dim, classes = 64, CLASSES
    blocks = [(25, 19), (19, 16)]  # tokens in attention, in the perceptron
    saved = sum((25 - seen) * 4 * dim ** 2 + 2 * dim * (25 ** 2 - seen ** 2)
                + (25 - left) * 8 * dim ** 2 for seen, left in blocks)
    decoder = 9 * dim ** 2 + 2 * (12 * 9 * dim ** 2)  # 24 tokens and 15, beside the classes
    decoder += 2 * 2 * dim * ((24 + classes) ** 2 - (15 + classes) ** 2)
    decoder += 9 * dim ** 2 + 9 * dim * classes
    assert whole - method.count_macs((64, 96), work=merged)['dense'] == saved + decoder
    with pytest.raises(ValueError, match='work must be that of images of .32, 32., got that of'):
        method.count_macs((32, 32), work=merged)
    assert method.count_macs((32, 32)) == Algm(tiny_algm().network, None).count_macs((32, 32))


def test_multiply_accumulates_are_those_of_all_windows():
    windows = Windows((32, 64), (16, 64))
    dense, small = Dense(tiny_algm().network, 1.0, windows=windows), (20, 50)
    one = Dense(dense.network).count_macs((32, 64), None)['dense']
    assert dense.count_macs((61, 97), None)['dense'] == 3 * 2 * one
    assert dense.count_macs(small, None)['dense'] == one
    merging = tiny_algm(windows=windows)
    unmerged = merging.count_macs((61, 97))['dense']
    merged = merging(draw_images(), MERGED, Stopwatch()).work
    assert 0 < merging.count_macs((61, 97), work=merged)['dense'] < unmerged
