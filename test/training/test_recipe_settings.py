# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings that published recipes need: sizes, hue, windows, merging layers, dropped paths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from miniature_trees import make_tree
from safetensors.torch import save_file
from tiny import TinyHRNet

from sparse_seg_ros.data.augmentation import Augmentation, size_factor, turn_hue
from sparse_seg_ros.loading.backbones import load_backbone
from sparse_seg_ros.loading.checkpoints import build_model
from sparse_seg_ros.methods.algm import AlgmConfig
from sparse_seg_ros.methods.algm.patch import merging_copy
from sparse_seg_ros.model_card import ModelCard
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.training.config import TrainConfig, read_config
from sparse_seg_ros.training.loop import validation_method
from sparse_seg_ros.training.sources import validation_of
from sparse_seg_ros.training.start import start_model


class Segmenter(SegmenterViT):
    """Segmenter with four narrow blocks."""

    def __init__(self, num_classes: int = 5, image_size: int = 64):
        super().__init__(image_size, 16, 64, 4, 1, num_classes)


def test_a_short_side_counts_unless_the_long_one_would_pass_its_limit():
    assert size_factor((256, 400), 512, 2048) == 2.0
    assert size_factor((100, 800), 512, 2048) == 2.56
    assert size_factor((100, 800), None, None) == 1.0


def test_views_are_cut_from_frames_of_the_short_side():
    frame = np.arange(32, dtype=np.uint8)[:, None].repeat(32, 1)
    view = Augmentation((32, 32), (1.0, 1.0), 0.0, short_side=64)
    _, label = view(np.zeros((32, 32, 3), np.uint8), frame, np.random.default_rng(0))
    assert len(np.unique(label)) == 16  # half of the frame, enlarged


def test_frames_to_score_have_the_size_of_those_to_learn_from(tmp_path):
    config = TrainConfig(labels='ade20k', short_side=32, long_side=64,
                         validation=make_tree('ade20k', tmp_path))
    image, label = validation_of(config)[0]
    assert image.shape == (21, 64, 3) and label.shape == (21, 64)


def test_a_hue_turns_red_to_green_and_leaves_grey():
    image = np.array([[[255, 0, 0], [90, 90, 90]]], np.uint8)
    assert turn_hue(image, 120.0).tolist() == [[[0, 255, 0], [90, 90, 90]]]


def test_a_run_scores_its_network_in_the_windows_it_names():
    model = build_model(ModelCard('compact', ('a', 'b'), '', (0.0,) * 3, (1.0,) * 3))
    method = validation_method(model, TrainConfig(window=(64, 64), stride=(32, 48)))
    assert (method.window, method.stride) == ((64, 64), (32, 48))


@pytest.mark.parametrize('settings, message', [
    ({'stride': (8, 8)}, "'stride' .* needs a 'window'"),
    ({'window': (8, 8), 'stage': 'refiner'}, "'window' is for stage 'dense'"),
    ({'long_side': 64}, "'long_side' must be at least 'short_side'")])
def test_settings_that_mean_nothing_alone_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize('depth, layers, expected', [
    (12, None, {1, 5}), (24, None, {1, 7}), (12, (2, 4), {2, 4})])
def test_tokens_merge_in_the_layers_of_the_paper_or_of_the_run(monkeypatch, depth, layers,
                                                               expected):
    class Blocks(SegmenterViT):
        def __init__(self, num_classes):
            super().__init__(64, 16, 64, depth, 1, num_classes)

    monkeypatch.setitem(NETWORKS, 'segmenter_t', Blocks)
    model = start_model(TrainConfig(network='segmenter_t', merge_rule='fixed',
                                    merge_layers=layers, merge_window=(1, 2)))
    assert set(model.network.encoder.merges) == expected
    assert model.network.multiple == 32


@pytest.mark.parametrize('settings, counts', [  # of 17 tokens, in training
    ({'merge_rule': 'share', 'merge_shares': (0.5, 0.5)}, [11, 11, 9, 9]),
    ({'merge_rule': 'share', 'merge_shares': (0.5, 0.5), 'merge_kinds': ('local', 'local')},
     [11, 11, 8, 8]),
    ({'merge_rule': 'share', 'merge_shares': (0.5, 0.5), 'merge_kinds': ('global', 'global')},
     [13, 13, 10, 10]),
    ({'merge_rule': 'share', 'merge_reduces': False, 'merge_values': 'random'}, [17] * 4),
    ({'merge_rule': 'every', 'merge_tokens': 2}, [15, 13, 11, 9]),
    ({'merge_rule': 'elvit', 'merge_keep': 0.25}, [17, 17, 5, 5]),
    ({'merge_rule': 'ailurus', 'merge_keep': 0.3}, [17, 17, 6, 6]),
    ({'merge_rule': 'pooling', 'merge_keep': 0.5}, [9, 9, 5, 5])])
def test_tokens_merge_in_training_as_every_setting_of_their_use_says(monkeypatch, settings,
                                                                     counts):
    monkeypatch.setitem(NETWORKS, 'segmenter_t', Segmenter)
    network = start_model(TrainConfig(network='segmenter_t', merge_layers=(1, 3),
                                      **settings)).network.train()
    network(torch.randn(2, 3, 64, 64))
    assert network.token_counts == [counts] * 2
    config = AlgmConfig(method='algm', merge_layers=(1, 3), **settings)
    used = merging_copy(Segmenter().eval(), config.merging())
    used(torch.randn(1, 3, 64, 64))
    assert used.token_counts == [counts]


def test_a_vision_transformer_drops_paths_in_training_alone():
    network = Segmenter()
    network.encoder.set_drop_path(0.3)
    shares = [block.drop_share for block in network.encoder.blocks]
    assert shares == pytest.approx([0.0, 0.1, 0.2, 0.3])
    images = torch.randn(2, 3, 64, 64)
    network.eval()
    expected = network(images)
    network.encoder.set_drop_path(0.9)
    assert torch.equal(network(images), expected)
    block = network.encoder.blocks[-1].train()
    torch.manual_seed(0)
    kept = (block.drop(torch.ones(1000, 1, 1)) > 0).float().mean()
    assert 0.05 < kept < 0.15


def test_a_vision_transformer_begins_with_weights_of_timm_of_another_size(tmp_path):
    source, network = Segmenter(image_size=96).encoder, Segmenter()
    save_file({key: tensor for key, tensor in source.state_dict().items()
               if not key.startswith('head.')}, tmp_path / 'vit.safetensors')
    load_backbone(network, tmp_path / 'vit.safetensors')
    assert torch.equal(network.encoder.blocks[2].mlp.fc1.weight, source.blocks[2].mlp.fc1.weight)
    assert torch.equal(network.encoder.pos_embed, source.positions((4, 4)))


def test_an_hrnet_begins_with_the_backbone_of_a_classifier_or_of_a_network(tmp_path):
    source, network = TinyHRNet(3), TinyHRNet(5)
    released = source.backbone.state_dict()
    for tensors in ({**released, 'classifier.weight': torch.ones(2)}, source.state_dict()):
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
        save_file(tensors, tmp_path / 'hrnet.safetensors')
        load_backbone(network, tmp_path / 'hrnet.safetensors')
        assert all(torch.equal(tensor, released[key])
                   for key, tensor in network.backbone.state_dict().items())


def test_data_sets_are_found_beside_the_yaml(tmp_path):
    make_tree('ade20k', tmp_path / 'data')
    (tmp_path / 'run.yaml').write_text("splits: ['ade20k:data/validation', 'voc:no/val']\n")
    assert read_config(tmp_path / 'run.yaml').splits == (
        f'ade20k:{tmp_path}/data/validation', 'voc:no/val')
