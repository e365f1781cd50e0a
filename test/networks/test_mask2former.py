# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mask2Former: published sizes, and scores as `transformers` computes them."""

from __future__ import annotations

import pytest
import torch
from hugging_face import tiny_mask2former

from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.mask2former import Mask2Former


@pytest.mark.parametrize(('name', 'millions'), [  # the paper's, for ADE20K
    ('mask2former_swin_t', 47), ('mask2former_swin_s', 69), ('mask2former_swin_b', 107),
    ('mask2former_swin_l', 215)])
def test_parameters_are_as_many_as_published(name, millions):
    with torch.device('meta'):
        network = build_network(name, 150)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6) == millions


@torch.inference_mode()
def test_logits_are_logarithms_of_the_scores_of_transformers():
    from transformers.models.mask2former.image_processing_pil_mask2former import (
        Mask2FormerImageProcessorPil,
    )
    model = tiny_mask2former(5)
    images = torch.randn(1, 3, 384, 384, generator=torch.Generator().manual_seed(0))
    logits = Mask2Former(model)(images)
    expected = Mask2FormerImageProcessorPil().post_process_semantic_segmentation(
        model(images), target_sizes=[(384, 384)], return_segmentation_scores=True)
    assert logits.shape == (1, 5, 384, 384) and logits.exp().std() > 0.01
    torch.testing.assert_close(logits[0].exp(), expected[0]['segmentation_scores'], atol=1e-5,
                               rtol=0)
    assert torch.equal(logits[0].argmax(0), expected[0]['segmentation'])


def test_a_score_of_nothing_has_a_finite_logarithm():
    model = tiny_mask2former(5)
    with torch.inference_mode():
        model.class_predictor.bias[-1] = 1e4  # every query sees "nothing"
        logits = Mask2Former(model)(torch.zeros(1, 3, 64, 64))
    assert logits.unique().tolist() == pytest.approx([-23.02585])


def test_images_may_have_any_shape_of_multiples():
    with torch.inference_mode():
        assert Mask2Former(tiny_mask2former(5))(torch.zeros(1, 3, 32, 96)).shape == (1, 5, 32, 96)
