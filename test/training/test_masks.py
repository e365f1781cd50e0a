# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks with queries learn masks, with Mask2Former's loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hugging_face import TinyMask2Former
from tiny import TinySegmenter

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.loading.checkpoints import load_model
from sparse_seg_ros.methods.dense.masks import MaskObjective, masks_of
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train

CLASSES = 3
MASKS = TrainConfig(network='mask2former_swin_t', loss='masks', scale=1.0, street_frames=2,
                    street_size_hw=(64, 96), street_scales=(1.0, 1.0), crop_hw=(64, 64),
                    batch_size=2, epochs=1, precision='fp32')


@pytest.fixture(name='objective')
def make_objective():
    network = TinyMask2Former(CLASSES)
    card = ModelCard('mask2former_swin_t', ('a', 'b', 'c'), '', network.mean, network.std)
    return MaskObjective(Model(card, network), torch.ones(CLASSES))


def halves():
    """Return images (2, 3, 64, 64), and labels of class 0 beside class 2, and of void alone."""
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[:, :, 32:] = 2
    labels[1] = VOID
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return images, labels


def test_masks_are_of_the_classes_in_an_image_and_void_is_in_none():
    label = torch.tensor([[0, 0, 2], [VOID, 2, 2]], dtype=torch.uint8)
    masks, ids = masks_of(label)
    assert ids.tolist() == [0, 2]
    assert masks.tolist() == [[[1, 1, 0], [0, 0, 0]], [[0, 0, 1], [0, 1, 1]]]


def test_the_loss_is_that_of_transformers_in_every_layer(objective):
    images, labels = halves()
    images, labels = images[:1], labels[:1]
    masks, ids = masks_of(labels[0])
    objective.eval()
    torch.manual_seed(3)
    expected = objective.trained.model(images, mask_labels=[masks], class_labels=[ids]).loss
    torch.manual_seed(3)
    found = objective(images, labels, torch.zeros(1))
    assert abs(float(found) - float(expected)) < 0.05 * float(expected)  # points are drawn


def test_an_image_without_labels_teaches_that_no_query_shows_anything(objective):
    images, labels = halves()
    loss = objective(images, labels, torch.zeros(2))
    loss.backward()
    assert torch.isfinite(loss)
    objective.zero_grad()
    loss = objective(images[1:], labels[1:], torch.zeros(1))
    loss.backward()
    assert torch.isfinite(loss)


def test_masks_are_learnt_within_some_steps(objective):
    images, labels = halves()
    optimizer = torch.optim.AdamW(objective.trained.parameters(), 3e-3)
    torch.manual_seed(0)
    losses = []
    for _ in range(8):
        losses.append(objective(images[:1], labels[:1], torch.zeros(1)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_that_learns_masks_writes_a_model(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'mask2former_swin_t', TinyMask2Former)
    path = train(replace(MASKS, cache=str(tmp_path / 'cache')), tmp_path / 'run', 'cpu')
    assert load_model(path).card.training['dense']['loss'] == 'masks'


def test_views_of_other_sizes_and_networks_without_queries_are_refused(objective):
    with pytest.raises(ValueError, match=r'must be multiples of 32 .*got \[40, 64\]'):
        objective(torch.zeros(1, 3, 40, 64), torch.zeros(1, 40, 64), torch.zeros(1))
    card = ModelCard('segmenter_t', ('a', 'b'), '', (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(ValueError, match="'segmenter_t' has no queries that could learn masks"):
        MaskObjective(Model(card, TinySegmenter(2)), torch.ones(2))


def test_masks_and_a_second_scale_do_not_go_together():
    with pytest.raises(ValueError, match="'loss: masks' is for stage 'dense' without"):
        replace(MASKS, second_scale=0.5)
