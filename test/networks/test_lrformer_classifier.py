# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The encoder as a classifier, against the published sizes and costs (LRFormer, table 6)."""

from __future__ import annotations

import pytest
import torch
from counting import count_macs, count_parameters, shapes_only
from tiny import TinyClassifier, TinyLRFormer, randomise


@pytest.mark.parametrize(('size', 'millions', 'gmacs'), [
    ('t', 13, 1.8), ('s', 30, 4.7), ('b', 62, 9.3), ('l', 101, 15.7), ('xl', 187, 31.6)])
def test_size_and_cost_are_as_published(size, millions, gmacs):
    network = shapes_only(f'lrformer_{size}_classifier', 1000)
    assert round(count_parameters(network) / 1e6) == millions
    assert count_macs(network, 224, 224)['Global'] == pytest.approx(gmacs, rel=0.07)


def test_the_cost_of_the_largest_backbone_is_exact():
    macs = count_macs(shapes_only('lrformer_xl_classifier', 1000), 224, 224)
    assert sum(cost for name, cost in macs.items() if name.endswith('.backbone')) == \
        pytest.approx(31.24, abs=0.005)


def test_attention_runs_on_grids_of_seven():
    attention = TinyClassifier(3).backbone.stages[0].blocks[0].attn
    assert attention.query_side == 7 and attention.pyramid_sides == [5, 4, 3, 2]


@torch.inference_mode()
def test_its_backbone_fits_a_segmentation_network():
    classifier, network = randomise(TinyClassifier(3)).eval(), TinyLRFormer(5).eval()
    network.backbone.load_state_dict(classifier.backbone.state_dict())
    images = torch.randn(2, 3, 61, 90, generator=torch.Generator().manual_seed(0))
    assert classifier(images).shape == (2, 3)
    assert network.backbone(images)[3].std() > 0.1
