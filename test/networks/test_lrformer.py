# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LRFormer against its published sizes, costs and names, and against a literal computation."""

from __future__ import annotations

import os
from pathlib import Path

import lrformer_oracle as oracle
import pytest
import torch
from counting import count_macs, count_parameters, released_shapes, shapes_only
from layers_oracle import draw
from safetensors.torch import load_file, save_file
from tiny import TinyLRFormer

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.networks.lrformer import variants
from sparse_seg_ros.networks.lrformer.attention import grid_size
from sparse_seg_ros.networks.lrformer.block import Block, ChannelNorm
from sparse_seg_ros.networks.lrformer.encoder import Encoder

DATA = Path(os.environ.get('SPARSE_SEG_DATA', Path(__file__).parents[3] / 'shared/data'))
FACTS = DATA.parent / 'facts'
SIZES = [name for name in NETWORKS if name.startswith('lrformer') and 'plus' not in name]
CLASSES = 5


@pytest.mark.parametrize(('name', 'backbone', 'with_150', 'with_19'), [
    ('lrformer_t', 11_269_992, 13_264_894, 13_231_227),
    ('lrformer_s', 27_861_280, 32_223_670, 32_173_235),
    ('lrformer_b', 59_993_192, 67_505_406, 67_438_203),
    ('lrformer_l', 99_306_000, 110_979_750, 110_895_779),
    ('lrformer_xl', 184_721_344, None, None),
])
def test_parameters_are_as_many_as_published(name, backbone, with_150, with_19):
    assert count_parameters(shapes_only(name).backbone) == backbone
    if with_150:
        assert count_parameters(shapes_only(name)) == with_150
        assert count_parameters(shapes_only(name, 19)) == with_19


@pytest.mark.parametrize(('name', 'ade20k', 'cityscapes'), [
    ('lrformer_t', 16.55, 118.0), ('lrformer_s', 39.72, 287.9),
    ('lrformer_b', 74.36, 539.5), ('lrformer_l', 121.4, 885.7)])
def test_multiply_adds_are_as_many_as_published(name, ade20k, cityscapes):
    assert count_macs(shapes_only(name), 512, 512)['Global'] == pytest.approx(ade20k, rel=1e-3)
    assert count_macs(shapes_only(name, 19), 1024, 2048)['Global'] == \
        pytest.approx(cityscapes, rel=1e-3)


def test_attention_costs_the_same_at_every_size_of_a_square_image():
    for side, share in ((512, 0.1274), (1024, 0.0352), (1536, 0.0160), (2048, 0.0090)):
        macs = count_macs(shapes_only('lrformer_t').backbone, side, side)
        attention = sum(cost for name, cost in macs.items() if name.endswith('.attn'))
        assert attention == pytest.approx(1.1553, abs=1e-4)
        assert attention / macs['Global'] == pytest.approx(share, abs=1e-4)


@pytest.mark.skipif(not FACTS.is_dir(), reason='the lists of published keys are not there')
@pytest.mark.parametrize('name', SIZES)
def test_keys_and_shapes_are_the_published_ones(name):
    size = name.removeprefix('lrformer_').upper()
    lines = (FACTS / f'lrformer_{size}_state_dict.tsv').read_text().splitlines()
    own = {released: 'x'.join(map(str, shape)) or 'scalar'
           for released, shape in released_shapes(shapes_only(name)).items()}
    assert own == dict(line.split('\t') for line in lines)


@pytest.fixture(name='weights', scope='module')
def released_weights():
    return draw(released_shapes(TinyLRFormer(CLASSES)))


@pytest.fixture(name='network')
def loaded_network(weights, tmp_path):
    save_file(weights, tmp_path / 'released.safetensors')
    network = TinyLRFormer(CLASSES).double().eval()
    checkpoints.load(network, tmp_path / 'released.safetensors')
    return network


@torch.inference_mode()
@pytest.mark.parametrize('size_hw', [
    (288, 352), (352, 288), (288, 288), (64, 96)], ids=[
    'landscape', 'portrait', 'square', 'smaller-than-the-pools'])
def test_forward_equals_a_literal_computation(network, weights, size_hw):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(1, 3, *size_hw, generator=generator, dtype=torch.float64)
    features = network.backbone(images)
    logits = network.decode_head(features)
    expected_features, expected = oracle.lrformer(images, weights)
    assert logits.shape == (1, CLASSES, size_hw[0] // 8, size_hw[1] // 8)
    assert logits.std() > 0.1
    for got, want in zip((*features, logits), (*expected_features, expected)):
        torch.testing.assert_close(got, want, atol=1e-9, rtol=0)


@pytest.mark.parametrize(('side', 'size_hw', 'expected'), [
    (16, (128, 256), (16, 32)), (16, (256, 128), (32, 16)), (16, (90, 160), (16, 28)),
    (11, (7, 7), (11, 11)), (4, (1, 3), (4, 12)), (6, (64, 80), (6, 8))])
def test_a_grid_keeps_the_aspect_of_the_map(side, size_hw, expected):
    assert grid_size(side, *size_hw) == expected


def test_wrapped_torch_files_load_and_are_saved_with_the_same_names(tmp_path, weights):
    wrapped = {'state_dict': {f'module.{key}': tensor for key, tensor in weights.items()}}
    torch.save(wrapped, tmp_path / 'released.pth')
    network = TinyLRFormer(CLASSES).double()
    checkpoints.load(network, tmp_path / 'released.pth')
    checkpoints.save(network, tmp_path / 'again.safetensors')
    again = load_file(tmp_path / 'again.safetensors')
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[key], weights[key]) for key in weights)


def test_a_backbone_loads_alone(tmp_path, weights):
    own = {key: tensor for key, tensor in weights.items() if key.startswith('backbone.')}
    save_file(own, tmp_path / 'backbone.safetensors')
    network = TinyLRFormer(11).double()
    checkpoints.load(network.backbone, tmp_path / 'backbone.safetensors')
    checkpoints.save(network.backbone, tmp_path / 'again.safetensors')
    again = load_file(tmp_path / 'again.safetensors')
    assert again.keys() == own.keys()
    assert all(torch.equal(again[key], own[key]) for key in own)


def test_a_model_file_carries_it(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)
    card = checkpoints.ModelCard('lrformer_t', ('road', 'sky'), 'camvid', TinyLRFormer.mean,
                                 TinyLRFormer.std)
    model = checkpoints.build_model(card)
    checkpoints.save_model(model, tmp_path / 'model.safetensors')
    again = checkpoints.load_model(tmp_path / 'model.safetensors')
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    assert again.card == card and torch.equal(again.network(images), model.network(images))


@pytest.mark.parametrize(('change', 'text'), [
    (lambda t: t.pop('backbone.block3.1.pre_norm.bias'),
     "tensor 'backbone.block3.1.pre_norm.bias' is missing"),
    (lambda t: t.update({'backbone.block1.0.attn.q.weight': torch.zeros(4, 4)}),
     "unexpected tensor 'backbone.block1.0.attn.q.weight'; did you mean"),
    (lambda t: t.update({'decode_head.conv_seg.bias': torch.zeros(19)}),
     r"'decode_head.conv_seg.bias' must be \(5,\), got \(19,\); were the weights trained for"),
])
def test_weights_that_do_not_fit_are_named(tmp_path, weights, change, text):
    tensors = dict(weights)
    change(tensors)
    torch.save(tensors, tmp_path / 'wrong.pth')
    with pytest.raises(ValueError, match=text):
        checkpoints.load(TinyLRFormer(CLASSES).double(), tmp_path / 'wrong.pth')


def test_every_parameter_learns():
    network = TinyLRFormer(CLASSES).train()
    images = torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    network(images).square().mean().backward()
    assert [name for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.isfinite().all()] == []


def test_dropped_paths_grow_linearly_from_block_to_block():
    rates = [block.drop_path for stage in Encoder(TinyLRFormer.variant).stages
             for block in stage.blocks]
    assert rates == pytest.approx([0, 0.06, 0.12, 0.18, 0.24, 0.3])
    with torch.device('meta'):
        assert Encoder(variants.S).stages[3].blocks[2].drop_path == pytest.approx(0.2)


def test_a_dropped_path_leaves_out_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    block = Block(torch.nn.Identity(), 2, 1, ChannelNorm, False)
    block.drop_path = 0.25
    change = torch.ones(4000, 2, 3, 3)
    kept = block.weigh(change, None)
    assert torch.equal(kept, kept[:, :1, :1, :1].expand_as(kept))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert kept.mean().item() == pytest.approx(1, abs=0.03)
    assert block.eval().weigh(change, None) is change
