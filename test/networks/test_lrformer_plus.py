# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LRFormer+ against its published sizes and against `transformers`' own Mask2Former."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from counting import count_macs, count_parameters, shapes_only
from tiny import TinyLRFormer, randomise

from sparse_seg_ros.networks.lrformer.plus import LRFormerPlus
from sparse_seg_ros.networks.mask_scores import semantic_logits

transformers = pytest.importorskip('transformers')
CLASSES = 5


class TinyPlus(LRFormerPlus):
    """The encoder of TinyLRFormer under the whole decoder."""

    variant = TinyLRFormer.variant


@pytest.fixture(name='network', scope='module')
def tiny_plus():
    torch.manual_seed(0)
    network = TinyPlus(CLASSES).eval()
    randomise(network.backbone)
    return network


def random_images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(('size', 'millions'), [
    ('t', 31), ('s', 48), ('b', 80), ('l', 119), ('xl', 205)])
def test_parameters_are_as_many_as_published(size, millions):
    assert round(count_parameters(shapes_only(f'lrformer_plus_{size}')) / 1e6) == millions


def test_decoding_equals_mask2former_on_the_same_features(network):
    swin = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1],
        out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    with torch.device('meta'):
        whole = transformers.Mask2FormerForUniversalSegmentation(transformers.Mask2FormerConfig(
            backbone_config=swin, num_labels=CLASSES)).eval()
    whole.model.pixel_level_module.encoder = Features(network.backbone)
    whole.model.pixel_level_module.decoder = network.decode_head.pixel_decoder
    whole.model.transformer_module = network.decode_head.transformer_module
    whole.class_predictor = network.decode_head.class_predictor
    with torch.inference_mode():
        expected = whole(random_images())
        classes, masks = network.decode_head(network.backbone(random_images()))[-1]
    assert classes.shape == (2, 100, CLASSES + 1) and masks.shape == (2, 100, 16, 24)
    torch.testing.assert_close(classes, expected.class_queries_logits)
    torch.testing.assert_close(masks, expected.masks_queries_logits)


class Features(torch.nn.Module):
    """An encoder of ours as `transformers` calls its own."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images):
        return transformers.modeling_outputs.BackboneOutput(feature_maps=self.encoder(images))


def test_scores_are_probabilities_of_classes_times_masks():
    generator = torch.Generator().manual_seed(0)
    classes = 3 * torch.randn(1, 4, 3, generator=generator)
    masks = 5 * torch.randn(1, 4, 2, 3, generator=generator)
    logits = semantic_logits(classes, masks, torch.Size((2, 3)))
    for label, row, column in ((0, 0, 0), (1, 1, 2)):
        score = 0.0
        for query in range(4):
            raised = [math.exp(value) for value in classes[0, query].tolist()]
            score += raised[label] / sum(raised) / (1 + math.exp(-masks[0, query, row, column]))
        assert logits[0, label, row, column].item() == pytest.approx(math.log(score), abs=1e-5)


def test_a_class_that_no_query_shows_has_the_least_logit():
    logits = semantic_logits(torch.tensor([[[0.0, -99.0, 0.0]]]), torch.zeros(1, 1, 1, 1),
                             torch.Size((2, 2)))
    assert logits[0, 1].unique().item() == pytest.approx(math.log(1e-10))
    assert logits[0, 0].unique().item() == pytest.approx(math.log(0.25))


@torch.inference_mode()
def test_logits_are_finite_and_stay_when_folded(network):
    logits = network(random_images())
    assert logits.shape == (2, CLASSES, 64, 96) and logits.isfinite().all()
    torch.testing.assert_close(network.for_inference()(random_images()), logits, atol=1e-3,
                               rtol=0)


def test_without_transformers_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    monkeypatch.delitem(sys.modules, 'sparse_seg_ros.networks.lrformer.query_decoder',
                        raising=False)
    with pytest.raises(ImportError, match=r'LRFormer\+ needs transformers .*pip install transf'):
        TinyPlus(CLASSES)


@pytest.mark.parametrize(('size', 'published'), [('t', 53), ('s', 70), ('b', 94)])
def test_multiply_adds_are_near_the_published(size, published):
    macs = count_macs(shapes_only(f'lrformer_plus_{size}'), 512, 512)['Global']
    assert macs == pytest.approx(published, rel=0.1)


def test_masks_can_be_learnt_from_every_layer(network):
    network.train()
    layers = network.queries(random_images()[:1])
    network.eval()
    loss = network.mask_loss(torch.ones(CLASSES))
    masks, ids = [torch.ones(1, 64, 96)], [torch.tensor([2])]
    assert len(layers) == 10  # the queries as they begin, and after each of nine layers
    assert all(torch.isfinite(part) for classes, layer_masks in layers
               for part in loss(layer_masks, classes, masks, ids).values())
