# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast each weight learns."""

from __future__ import annotations

import pytest
import torch

from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.optimizer import build_optimizer, learning_rate, parameter_groups


def small_segmenter():
    return SegmenterViT(32, 16, 64, 4, 1, 5)


def test_sgd_has_the_momentum_and_decay_of_the_settings():
    optimizer, factors = build_optimizer(Compact(5), TrainConfig(
        optimizer='sgd', momentum=0.8, weight_decay=0.01, learning_rate=0.1))
    assert type(optimizer) is torch.optim.SGD and factors == [1.0, 1.0]
    assert [(group['momentum'], group['weight_decay']) for group in optimizer.param_groups] == \
        [(0.8, 0.01), (0.8, 0.0)]


def test_momentum_may_be_that_of_nesterov_as_segmenter_trains():
    optimizer, _ = build_optimizer(Compact(5), TrainConfig(optimizer='nesterov', momentum=0.8))
    assert type(optimizer) is torch.optim.SGD
    assert {(group['momentum'], group['nesterov']) for group in optimizer.param_groups} == \
        {(0.8, True)}


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="'optimizer: nesterov' needs a 'momentum' above 0"):
        TrainConfig(optimizer='nesterov', momentum=0.0)


def test_one_step_of_warm_up_is_none():
    config = TrainConfig(learning_rate=0.5, schedule='cosine', warmup_steps=1)
    assert learning_rate(config, 0, 10) == 0.5


def test_a_poly_schedule_falls_as_the_power_of_what_is_left():
    config = TrainConfig(epochs=1, learning_rate=1.0, schedule='poly', poly_power=0.9,
                         warmup_steps=1)
    assert learning_rate(config, 5, 10) == pytest.approx(0.5 ** 0.9)


def test_each_block_of_a_vision_transformer_learns_slower_than_the_next():
    network = small_segmenter()
    groups, factors = parameter_groups(network, TrainConfig(layer_decay=0.5))
    rate = {id(part): factor for group, factor in zip(groups, factors)
            for part in group['params']}
    assert len(rate) == len(list(network.parameters()))
    assert [rate[id(block.mlp.fc1.weight)] for block in network.encoder.blocks] == \
        [0.0625, 0.125, 0.25, 0.5]
    assert rate[id(network.encoder.pos_embed)] == 0.5 ** 5
    assert rate[id(network.decoder.proj_dec.weight)] == 1.0


def test_layer_decay_without_a_vision_transformer_is_refused():
    with pytest.raises(ValueError, match="Compact is no vision transformer .* 'layer_decay'"):
        parameter_groups(Compact(5), TrainConfig(layer_decay=0.9))
