# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What import writes is a start for a training; what is no network to import says so."""

from __future__ import annotations

import pytest
import torch
from tiny import TinyHRNet, TinyLRFormer, TinySegmenter, tiny_model

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.loading.backbones import backbone_of, load_backbone
from sparse_seg_ros.loading.checkpoints import build_model, save_model
from sparse_seg_ros.loading.importing import Wishes, import_network
from sparse_seg_ros.model_card import ModelCard
from sparse_seg_ros.networks import CLASSIFIERS, NETWORKS

TINY = {'hrnet_w48': TinyHRNet, 'lrformer_t': TinyLRFormer, 'segmenter_t': TinySegmenter}
CITYSCAPES = Wishes(labels='cityscapes')


@pytest.mark.parametrize('name', TINY)
def test_a_model_file_fills_the_backbone_of_a_network_of_other_classes(name, tmp_path,
                                                                       monkeypatch):
    monkeypatch.setitem(NETWORKS, name, TINY[name])
    card = ModelCard(name, ('road', 'car', 'sky'), '', TINY[name].mean, TINY[name].std)
    model, begun = build_model(card), TINY[name](7)
    save_model(model, tmp_path / 'x.safetensors')
    assert load_backbone(begun, tmp_path / 'x.safetensors') == []
    own = backbone_of(begun).state_dict()
    assert all(torch.equal(tensor, own[key])
               for key, tensor in backbone_of(model.network).state_dict().items())


def test_a_model_file_is_not_imported_again(tmp_path):
    save_model(tiny_model(), tmp_path / 'x.safetensors')
    with pytest.raises(ValueError, match='is a model file of this package already'):
        import_network(tmp_path / 'x.safetensors', CITYSCAPES)


def test_a_classifier_is_for_a_training_to_begin_with(tmp_path):
    checkpoints.save(CLASSIFIERS['lrformer_t_classifier'](10), tmp_path / 'x.safetensors')
    with pytest.raises(ValueError, match="without a decoder; begin a training with it as 'backb"):
        import_network(tmp_path / 'x.safetensors', CITYSCAPES)
