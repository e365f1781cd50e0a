# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SegNeXt against its published sizes, costs and names, and against a literal computation."""

from __future__ import annotations

import numpy as np
import pytest
import segnext_oracle as oracle
import torch
from counting import count_macs, count_parameters, released_shapes, shapes_only
from layers_oracle import draw
from tiny import TinySegNeXt

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks.segnext.factorisation import Factorisation, factorise

CLASSES = 5
SIZES = {
    'segnext_t': ((32, 64, 160, 256), (3, 3, 5, 2), 256),
    'segnext_s': ((64, 128, 320, 512), (2, 2, 4, 2), 256),
    'segnext_b': ((64, 128, 320, 512), (3, 3, 12, 3), 512),
    'segnext_l': ((64, 128, 320, 512), (3, 5, 27, 3), 1024),
}
TINY = ((8, 16, 24, 32), (1, 2, 1, 1), 64)  # of TinySegNeXt


@pytest.mark.parametrize(('name', 'with_150', 'in_the_paper'), [
    ('segnext_t', 4_263_414, 4.3e6), ('segnext_s', 13_932_886, 13.9e6),
    ('segnext_b', 27_636_310, 27.6e6), ('segnext_l', 48_926_550, 48.9e6)])
def test_parameters_are_as_many_as_published(name, with_150, in_the_paper):
    assert count_parameters(shapes_only(name)) == with_150
    assert with_150 == pytest.approx(in_the_paper, abs=5e4)


def test_the_large_one_for_cityscapes_has_the_published_size_and_cost():
    network = shapes_only('segnext_l', 19)
    assert count_parameters(network) == 48_792_275
    assert count_macs(network, 640, 1280)['Global'] == pytest.approx(204, rel=0.01)


@pytest.mark.parametrize(('name', 'count'), [
    ('segnext_t', 550), ('segnext_s', 436), ('segnext_b', 854), ('segnext_l', 1500)])
def test_names_and_shapes_are_those_of_mmsegmentation(name, count):
    published = oracle.published_shapes(*SIZES[name], 150)
    assert released_shapes(shapes_only(name)) == published
    assert len(published) == count


def test_some_names_and_shapes_written_out():
    published = released_shapes(shapes_only('segnext_t'))
    for name, shape in {
            'backbone.patch_embed1.proj.3.weight': (32, 16, 3, 3),
            'backbone.patch_embed2.norm.num_batches_tracked': (),
            'backbone.block1.0.attn.spatial_gating_unit.conv0.weight': (32, 1, 5, 5),
            'backbone.block1.0.attn.spatial_gating_unit.conv2_2.weight': (32, 1, 21, 1),
            'backbone.block3.4.mlp.dwconv.weight': (640, 1, 3, 3),
            'backbone.block4.1.layer_scale_2': (256,),
            'backbone.norm4.bias': (256,),
            'decode_head.squeeze.conv.weight': (256, 480, 1, 1),
            'decode_head.hamburger.ham_in.conv.bias': (256,),
            'decode_head.hamburger.ham_out.gn.weight': (256,),
            'decode_head.conv_seg.weight': (150, 256, 1, 1)}.items():
        assert published[name] == shape, name


@torch.inference_mode()
def test_forward_equals_a_literal_computation():
    network = TinySegNeXt(CLASSES).double().eval()
    weights = draw(oracle.published_shapes(*TINY, CLASSES))
    own = checkpoints.released_keys(network)
    network.load_state_dict({own[name]: tensor for name, tensor in weights.items()})
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    features = network.backbone(images)
    logits = network.decode_head(features)
    expected_features, expected = oracle.segnext(images, weights,
                                                 network.decode_head.hamburger.ham.bases)
    assert logits.shape == (2, CLASSES, 8, 12) and logits.std() > 0.1
    for got, want in zip((*features, logits), (*expected_features, expected), strict=True):
        torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize('steps', [0, 1, 7])
def test_factors_are_those_of_literal_updates(steps):
    random = np.random.default_rng(0)
    columns, bases = random.random((3, 8, 20)), random.random((3, 8, 4))
    got = factorise(torch.from_numpy(columns), torch.from_numpy(bases), steps)
    want = np.stack([oracle.factorise(x, d, steps) for x, d in zip(columns, bases)])
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_more_steps_come_nearer_to_a_map_of_low_rank():
    random = torch.Generator().manual_seed(0)
    columns = torch.rand(1, 32, 3, generator=random) @ torch.rand(1, 3, 50, generator=random)
    bases = torch.rand(1, 32, 16, generator=random)
    errors = [(factorise(columns, bases, steps) - columns).norm().item() for steps in (0, 7, 200)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_an_all_zero_map_stays_zero():
    nothing = torch.zeros(1, 32, 2, 3)
    assert torch.equal(Factorisation(32).eval()(nothing), nothing)


def test_the_first_bases_are_fixed_after_training_and_drawn_in_training():
    drawn = np.random.RandomState(0).random_sample((64, 16))
    expected = drawn / np.sqrt((drawn ** 2).sum(0))
    first, second = Factorisation(64), Factorisation(64)
    np.testing.assert_allclose(first.bases, expected, atol=1e-7)
    assert torch.equal(first.bases, second.bases)
    x = torch.rand(2, 64, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first.eval()(x), second.eval()(x))
    assert not torch.equal(first.train()(x), first(x))


def test_bases_are_not_in_files_and_survive_a_change_of_type():
    network = TinySegNeXt(CLASSES)
    assert not [key for key in network.state_dict() if 'bases' in key]
    assert network.double().decode_head.hamburger.ham.bases.dtype == torch.float64


@torch.inference_mode()
def test_factors_keep_float32_under_autocast():
    ham = Factorisation(32).eval()
    x = torch.rand(1, 32, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast('cpu', torch.bfloat16):
        under_autocast = ham(x)
    assert torch.equal(under_autocast, ham(x))
    half = ham(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), ham(x.bfloat16().float()), atol=0, rtol=1e-2)


def test_dropped_paths_grow_linearly_from_block_to_block():
    shares = [block.drop_path for stage in TinySegNeXt(CLASSES).backbone.stages
              for block in stage.blocks]
    assert shares == pytest.approx([0, 0.075, 0.15, 0.225, 0.3])


def test_every_parameter_learns_under_autocast():
    network = TinySegNeXt(CLASSES).train()
    images = torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.autocast('cpu', torch.bfloat16):
        logits = network(images)
    logits.float().square().mean().backward()
    assert [name for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.isfinite().all()] == []
