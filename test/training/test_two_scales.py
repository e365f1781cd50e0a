# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One network for two scales, and a refiner that begins as it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import tiny_model
from torch.nn import functional as F

from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.methods.dense import DenseObjective
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.networks.folding import folded
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.optimizer import parameter_groups
from sparse_seg_ros.training.start import start_model

RUN = TrainConfig(street_frames=2, street_size_hw=(64, 96), street_scales=(1.0, 1.0),
                  crop_hw=(64, 96), epochs=1, batch_size=2, jitter=0.0)


def test_the_second_scale_learns_from_labels_and_from_the_first_by_halves():
    model = tiny_model(refines=False, scale=1.0)
    objective = DenseObjective(model, torch.ones(11), second_scale=0.5).eval()
    images, labels = torch.randn(2, 3, 48, 64), torch.full((2, 48, 64), 3)
    labels[0, :20] = 255
    loss = objective(images, labels, torch.zeros(2))
    with torch.no_grad():
        large, small = (Dense(model.network, scale).coarse_logits(images) for scale in (1.0, 0.5))
        expected, said = F.avg_pool2d(large.softmax(1), 2), small.log_softmax(1)
        known = labels[:, ::2, ::2] != 255
        own = -large.log_softmax(1)[:, 3][labels != 255].mean()
        second = -said[:, 3][known].mean() - (expected * said).sum(1)[known].mean()
    torch.testing.assert_close(loss.detach(), own + second / 2)


@pytest.mark.parametrize('changes', [{'scale': 0.5}, {'stage': 'refiner', 'scale': 1.0}])
def test_a_second_scale_must_be_smaller_and_of_a_dense_network(changes):
    with pytest.raises(ValueError, match="'second_scale' must be below 'scale', of stage 'dense'"):
        TrainConfig(second_scale=0.5, **changes)


@pytest.fixture(name='dense', scope='module')
def train_dense(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    return train(replace(RUN, network='mobilenet_edgetpu', scale=1.0, second_scale=0.5,
                         cache=str(folder / 'cache')), folder / 'dense')


def refining(dense, **changes) -> TrainConfig:
    return replace(RUN, stage='refiner', extractor='network', start_from=str(dense),
                   cache=str(dense.parent / 'cache'), alpha=0.5, **changes)


def test_a_refiner_begins_as_the_network_that_it_refines(dense):
    model = start_model(refining(dense))
    assert (model.card.planes, model.card.inputs) == ((16, 24, 40, 128), ('rgb',))
    begins = folded(load_model(dense).network).state_dict()
    for key, tensor in model.refiner.extractor.network.state_dict().items():
        assert torch.equal(tensor, begins[key])


def test_a_refiner_that_has_learnt_goes_on_from_there(dense, tmp_path):
    path = train(refining(dense, learning_rate=0.01), tmp_path / 'run')
    learnt, goes_on = load_model(path), start_model(refining(path))
    for key, tensor in goes_on.refiner.state_dict().items():
        assert torch.equal(tensor, learnt.refiner.state_dict()[key])
    begins = folded(learnt.network).state_dict()
    assert any(not torch.equal(tensor, begins[key]) for key, tensor in
               learnt.refiner.extractor.network.state_dict().items())


def test_another_refiner_is_left_for_one_of_the_network(dense, tmp_path):
    model = load_model(dense)
    blocks = build_model(replace(model.card, scale=0.5, planes=(4, 8), extractor='blocks',
                                 alpha=0.5))
    blocks.network.load_state_dict(model.network.state_dict())
    save_model(blocks, tmp_path / 'blocks.safetensors')
    config = replace(refining(dense), start_from=str(tmp_path / 'blocks.safetensors'))
    begins = folded(model.network).state_dict()
    for key, tensor in start_model(config).refiner.extractor.network.state_dict().items():
        assert torch.equal(tensor, begins[key])


def test_its_backbone_can_learn_slower_than_the_rest(dense):
    config = refining(dense, head_rate=3.0)
    refiner = start_model(config).refiner
    groups, rates = parameter_groups(refiner, config)
    assert set(rates) == {1.0, 3.0}
    slow = {id(part) for group, rate in zip(groups, rates) if rate == 1
            for part in group['params']}
    assert slow == {id(part) for part in refiner.extractor.network.backbone.parameters()}


def test_other_networks_have_no_such_refiner(tmp_path):
    save_model(tiny_model(refines=False), tmp_path / 'compact.safetensors')
    with pytest.raises(ValueError, match="'network' needs the network mobilenet_edgetpu"):
        start_model(refining(tmp_path / 'compact.safetensors'))


@pytest.mark.parametrize('stage', ['refiner', 'point_rend', 'patch_refine'])
def test_a_refiner_is_not_trained_on_enlarged_images(stage):
    with pytest.raises(ValueError, match="'scale' must be at most 1 but for stage 'dense'"):
        TrainConfig(stage=stage, start_from='demo', scale=2.0)
    assert TrainConfig(scale=2.0).scale == 2
