# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LRFormer made ready for inference computes what the trained network does."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from tiny import TinyLRFormer, randomise, street_image
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.loading.method_config import settings_of
from sparse_seg_ros.model_card import ModelCard
from sparse_seg_ros.networks import NETWORKS, for_inference
from sparse_seg_ros.networks.lrformer.attention import grid_size
from sparse_seg_ros.networks.lrformer.pooling import make_matrices, pool_grids

CLASSES = 11


def random_images(*size_hw, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, *size_hw, generator=generator, dtype=dtype)


@pytest.fixture(name='network', scope='module')
def trained_network():
    return randomise(TinyLRFormer(CLASSES)).double().eval()


@torch.inference_mode()
@pytest.mark.parametrize('size_hw', [(160, 224), (224, 160), (64, 64), (32, 96)], ids=[
    'landscape', 'portrait', 'smaller-than-the-pools', 'one-row'])
def test_it_computes_the_same(network, size_hw):
    images = random_images(*size_hw)
    expected, folded = network(images), network.for_inference()
    assert expected.std() > 0.1
    torch.testing.assert_close(folded(images), expected, atol=1e-9, rtol=0)
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(folded.to(memory_format=torch.channels_last)(last), expected,
                               atol=1e-9, rtol=0)


def test_it_has_no_norm_or_scale_that_can_be_folded_and_its_origin_stays(network):
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    folded = network.for_inference()
    assert [name for name, module in folded.named_modules()
            if isinstance(module, nn.BatchNorm2d)] == ['backbone.stages.2.2.pre_norm']
    assert not [name for name in folded.state_dict() if 'layer_scale' in name]
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


@torch.inference_mode()
def test_bf16_loses_no_more_than_without_folding(network):
    images = random_images(160, 224)
    expected = network(images)
    plain, folded = network.float(), network.float().for_inference()
    with torch.autocast('cpu', torch.bfloat16):
        errors = [(net(images.float()) - expected).square().mean().sqrt()
                  for net in (plain, folded)]
    network.double()
    assert errors[1] < 1.25 * errors[0] < 0.2 * expected.std()


@pytest.mark.parametrize('size_hw', [(7, 9), (64, 128), (30, 17), (3, 3), (1, 5)], ids=str)
def test_pooling_equals_adaptive_average_pooling(size_hw):
    x = torch.randn(2, 4, *size_hw, dtype=torch.float64)
    sides = (16, 11, 8, 6, 4)
    for side, grid in zip(sides, pool_grids(x, sides)):
        expected = F.adaptive_avg_pool2d(x, grid_size(side, *size_hw))
        torch.testing.assert_close(grid.movedim(-1, 1), expected, atol=1e-12, rtol=0)


def test_the_matrices_of_a_size_are_made_once():
    x = torch.randn(1, 4, 21, 34)
    pool_grids(x, (5, 3))
    made = make_matrices.cache_info().misses
    pool_grids(x, (5, 3))
    assert make_matrices.cache_info().misses == made


def test_matrices_made_for_inference_serve_training_too():
    make_matrices.cache_clear()
    x = torch.randn(1, 4, 21, 34)
    with torch.inference_mode():
        pool_grids(x, (5, 3))
    grids = pool_grids(x.requires_grad_(), (5, 3))
    sum(grid.sum() for grid in grids).backward()
    assert x.grad is not None


def test_a_network_without_a_faster_form_is_used_as_it_is():
    network = torch.nn.Conv2d(3, CLASSES, 1)
    assert for_inference(network) is network


@pytest.mark.parametrize('planes', [(), (4, 8)], ids=['dense', 'sparse_refine'])
@pytest.mark.parametrize('size_hw', [(75, 130), (130, 70)], ids=str)
def test_methods_run_it_on_images_of_any_size_and_models_keep_their_tensors(
        tmp_path, monkeypatch, planes, size_hw):
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)
    labels = load_labels('camvid')
    card = ModelCard('lrformer_t', labels.names, 'camvid', TinyLRFormer.mean, TinyLRFormer.std,
                     scale=0.5, planes=planes, alpha=0.1)
    model = build_model(card)
    randomise(model.network)
    method = 'sparse_refine' if planes else 'dense'
    segment = assemble(model, settings_of(method)(method, scale=0.5), 'cpu', 'fp32', {})
    seen = segment(street_image(*size_hw))
    assert seen.labels.shape == size_hw and seen.labels.max() < CLASSES
    with torch.inference_mode():
        x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
        torch.testing.assert_close(*(deepcopy(network).double()(x)
                                     for network in (segment.method.network, model.network)))
    save_model(model, tmp_path / 'model.safetensors')
    again = load_model(tmp_path / 'model.safetensors')
    assert again.network.state_dict().keys() == TinyLRFormer(CLASSES).state_dict().keys()


@pytest.mark.filterwarnings('ignore')
def test_it_can_be_exported_to_onnx_at_a_fixed_size(tmp_path, network):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    folded, images = network.float().for_inference(), random_images(64, 96).float()
    torch.onnx.export(folded, (images,), str(tmp_path / 'tiny.onnx'), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / 'tiny.onnx',
                                           providers=['CPUExecutionProvider'])
    got, = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.inference_mode():
        expected = folded(images).numpy()
    network.double()
    np.testing.assert_allclose(got, expected, atol=1e-4 * expected.std())
