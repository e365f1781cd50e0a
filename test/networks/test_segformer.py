# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SegFormer against its published size, cost and names, and against a literal computation."""

from __future__ import annotations

import copy

import pytest
import segformer_oracle as oracle
import torch
from safetensors.torch import load_file, save_file
from tiny import TinySegFormer
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks import NETWORKS, build_network

pytest.importorskip('transformers')
CLASSES = 5
WIDTHS, DEPTHS = (32, 64, 160, 256), (2, 2, 2, 2)  # of B0


@pytest.fixture(name='released_b0', scope='module')
def released_weights_of_b0():
    return oracle.draw_weights(oracle.released_shapes(WIDTHS, DEPTHS, CLASSES))


@pytest.fixture(name='b0', scope='module')
def loaded_b0(released_b0, tmp_path_factory):
    path = tmp_path_factory.mktemp('released') / 'b0.safetensors'
    save_file(released_b0, path)
    network = build_network('segformer_b0', CLASSES).double().eval()
    checkpoints.load(network, path)
    return network


@pytest.fixture(name='weights', scope='module')
def released_weights_of_few_channels():
    return oracle.draw_weights(oracle.released_shapes(
        TinySegFormer.widths, TinySegFormer.depths, CLASSES))


@pytest.fixture(name='network')
def network_of_few_channels():
    return TinySegFormer(CLASSES).double()


def save(folder, content):
    torch.save(content, folder / 'weights.pth')
    return folder / 'weights.pth'


def shapes_only(name):
    with torch.device('meta'):
        return build_network(name, 19).eval()


@pytest.mark.parametrize(('name', 'millions'), [
    ('segformer_b0', 3.72), ('segformer_b1', 13.68), ('segformer_b2', 24.73),
    ('segformer_b3', 44.60), ('segformer_b4', 61.37), ('segformer_b5', 81.974739)])
def test_parameters_are_as_many_as_published(name, millions):
    count = sum(parameter.numel() for parameter in shapes_only(name).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=1e-8 if name == 'segformer_b5' else 0.01)


def test_multiply_adds_are_as_many_as_published():
    with FlopCounterMode(display=False) as counter:
        shapes_only('segformer_b5')(torch.empty(1, 3, 512, 1024, device='meta'))
    assert counter.get_total_flops() / 2e12 == pytest.approx(0.169, rel=0.01)


@pytest.mark.parametrize('name', [name for name in NETWORKS if name.startswith('segformer_')])
def test_keys_and_shapes_are_the_published_ones(name):
    kind = NETWORKS[name]
    own = {key: tuple(tensor.shape) for key, tensor in shapes_only(name).state_dict().items()}
    assert own == oracle.released_shapes(kind.widths, kind.depths, 19)


@torch.inference_mode()
def test_forward_equals_a_literal_computation(b0, released_b0):
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1),
                         dtype=torch.float64)
    features = b0.backbone(images)
    expected_features, expected = oracle.segformer(images, released_b0, DEPTHS)
    assert expected.shape == (2, CLASSES, 16, 24) and expected.std() > 0.1
    for got, want in zip((*features, b0.decode_head(features)),
                         (*expected_features, expected)):
        torch.testing.assert_close(got, want, atol=1e-9, rtol=0)


@torch.inference_mode()
def test_single_precision_is_within_a_hundred_thousandth(b0, released_b0):
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    _, expected = oracle.segformer(images.double(), released_b0, DEPTHS)
    logits = copy.deepcopy(b0).float()(images)
    torch.testing.assert_close(logits.double(), expected, atol=1e-5 * expected.abs().max().item(),
                               rtol=0)


def test_saving_gives_the_published_file_back(b0, released_b0, tmp_path):
    checkpoints.save(b0, tmp_path / 'again.safetensors')
    again = load_file(tmp_path / 'again.safetensors')
    assert again.keys() == released_b0.keys()
    assert all(torch.equal(again[key], released_b0[key]) for key in released_b0)


@pytest.mark.parametrize('wrap', [
    lambda tensors: {'meta': {'epoch': 160}, 'state_dict': tensors},
    lambda tensors: {'model': {f'module.{key}': value for key, value in tensors.items()}},
    lambda tensors: {'model': {key: value + 1 for key, value in tensors.items()},
                     'model_ema': tensors},
    lambda tensors: {'n_averaged': torch.tensor(3),
                     **{f'module.{key}': value for key, value in tensors.items()}},
], ids=['state-dict', 'model-and-module', 'average-preferred', 'averaged-model'])
def test_wrappers_are_taken_off(network, weights, tmp_path, wrap):
    checkpoints.load(network, save(tmp_path, wrap(weights)))
    again = network.state_dict()
    assert all(torch.equal(again[key], weights[key]) for key in weights)


def test_a_backbone_loads_alone(network, weights, tmp_path):
    own = {key.removeprefix('backbone.'): value for key, value in weights.items()
           if key.startswith('backbone.')}
    checkpoints.load(network.backbone, save(tmp_path, own))
    again = network.backbone.state_dict()
    assert again.keys() == own.keys()
    assert all(torch.equal(again[key], own[key]) for key in own)


@pytest.mark.parametrize(('name', 'tensor', 'text'), [
    ('decode_head.conv_seg.weight', torch.zeros(19, 256, 1, 1),
     r"'decode_head.conv_seg.weight' must be \(5, 256, 1, 1\), got \(19, 256, 1, 1\); were the "
     'weights trained for other classes'),
    ('backbone.layers.1.1.0.attn.attn.in_proj_weight', torch.zeros(48, 8),
     r"in_proj_weight' must be \(48, 16\), got \(48, 8\)"),
    ('backbone.layers.1.1.0.attn.q.weight', torch.zeros(16, 16),
     "unexpected tensor 'backbone.layers.1.1.0.attn.q.weight'; did you mean"),
    ('backbone.layers.3.2.bias', None, "tensor 'backbone.layers.3.2.bias' is missing"),
])
def test_weights_that_do_not_fit_are_named(network, weights, tmp_path, name, tensor, text):
    wrong = {**weights, name: tensor}
    if tensor is None:
        del wrong[name]
    with pytest.raises(ValueError, match=text):
        checkpoints.load(network, save(tmp_path, wrong))


class Command:
    """Something that a pickle would run."""

    def __reduce__(self):
        return print, ('run',)


def test_a_pickle_with_code_is_refused(network, tmp_path, capsys):
    with pytest.raises(ValueError, match='weights.pth: not a file of plain tensors'):
        checkpoints.load(network, save(tmp_path, {'state_dict': {}, 'meta': Command()}))
    assert capsys.readouterr().out == ''


def test_every_parameter_learns(network):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 64, 96, generator=generator, dtype=torch.float64)
    network.train()(images).square().mean().backward()
    assert [name for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.isfinite().all()] == []
