# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training starts from a model of other classes: what belongs to classes begins anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from published import random_network
from tiny import TinyLRFormer

from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.start import shared_tensors, start_model

KINDS = {name.rpartition('_')[0] or name: name for name in reversed(NETWORKS)}  # the first of each


def model_for(name, labels, network):
    """Return a network as the model of a label set."""
    label_set = load_labels(labels)
    return Model(ModelCard(name, label_set.names, label_set.name, network.mean, network.std),
                 network)


@pytest.mark.parametrize('name', KINDS.values())
def test_every_network_gives_all_that_is_not_of_its_classes(name):
    if name.startswith(('segformer', 'mask2former')) or 'plus' in name:
        pytest.importorskip('transformers')
    start, model = (model_for(name, labels, random_network(name, number, 'meta'))
                    for labels, number in (('cityscapes', 19), ('ade20k', 150)))
    own = model.network.state_dict()
    start.network.half()  # to tell whose a tensor is
    shared = shared_tensors(start, model)
    assert {key: tensor.shape for key, tensor in shared.items()} == {
        key: tensor.shape for key, tensor in own.items()}
    fresh = {key for key, tensor in shared.items() if tensor.dtype == torch.float32}
    is_of_classes = {key: bool({150, 151} & {*own[key].shape}) for key in fresh}
    assert fresh and all(is_of_classes.values()), is_of_classes


@pytest.mark.parametrize('decoder', ['mask', 'linear', 'naive', 'mla', 'atm'])
def test_a_vision_transformer_keeps_its_positions_and_learns_other_classes(
        tmp_path, monkeypatch, caplog, decoder):
    def small(num_classes, image_size=32):
        return SegmenterViT(image_size, 16, 64, 12, 1, num_classes, decoder)

    monkeypatch.setitem(NETWORKS, 'segmenter_t', small)
    small.mean, small.std = SegmenterViT.mean, SegmenterViT.std
    start = model_for('segmenter_t', 'cityscapes', small(19, 64))
    save_model(start, tmp_path / 'start.safetensors')
    network = start_model(TrainConfig(
        network='segmenter_t', labels='camvid',
        start_from=str(tmp_path / 'start.safetensors'))).network
    assert torch.equal(network.encoder.pos_embed, start.network.encoder.pos_embed)
    assert network.encoder.grid_hw == (4, 4)
    assert network(torch.zeros(1, 3, 32, 32)).shape[1] == 11
    said, = (record.message for record in caplog.records if record.name.endswith('start'))
    assert said.endswith('all is taken but what belongs to the classes')


def test_a_model_keeps_its_options_and_others_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)
    path, options = tmp_path / 'start.safetensors', ('decoder_width=24', 'head=own')
    first = TrainConfig(network='lrformer_t', network_options=options)
    save_model(start_model(first), path)
    for again in ((), options):
        model = start_model(replace(first, network_options=again, start_from=str(path)))
        assert model.card.network_options == options
    with pytest.raises(ValueError, match=r"must be those of .*start.safetensors, \['decoder_widt"):
        start_model(replace(first, network_options=('head=ppm',), start_from=str(path)))


@pytest.mark.parametrize('kind', ['segformer', 'mask2former'])
def test_a_model_of_hugging_face_learns_other_classes(tmp_path, kind):
    from hugging_face import save_folder, tiny_mask2former, tiny_segformer
    names = load_labels('cityscapes').names
    released = tiny_segformer(names) if kind == 'segformer' else tiny_mask2former(len(names))
    save_folder(released, tmp_path / 'folder')
    model = start_model(TrainConfig(labels='camvid', start_from=str(tmp_path / 'folder')))
    assert model.network(torch.zeros(1, 3, 64, 64)).shape[1] == 11
    own, given = model.network.model.state_dict(), released.state_dict()
    fresh = {key for key, tensor in own.items() if not torch.equal(tensor, given[key])}
    assert {key.partition('.')[0] for key in fresh} <= {'decode_head', 'class_predictor',
                                                        'criterion'} and len(fresh) <= 3
    save_model(model, tmp_path / 'model.safetensors')
    assert load_model(tmp_path / 'model.safetensors').card.classes == load_labels('camvid').names


def test_a_network_without_a_backbone_names_the_other_way_to_begin():
    pytest.importorskip('transformers')
    with pytest.raises(ValueError, match="network 'mask2former_swin_t' has no backbone .* name a "
                                         "whole model as 'start_from', or remove 'backbone'"):
        start_model(TrainConfig(network='mask2former_swin_t', backbone='swin.pth'))
