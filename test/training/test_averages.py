# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Averages over a short training: of its weights, and of what its batch norms saw."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_seg_ros.loading.checkpoints import load_model
from sparse_seg_ros.training.averages import Norms, average_from_the_start
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train


def test_the_average_of_a_short_training_is_not_its_random_start():
    averaged, update = [torch.zeros(1)], average_from_the_start(0.995)
    for step in range(1, 101):
        update(averaged, [torch.ones(1)], step)
    assert averaged[0] > 0.999  # 0.39 by a decay of 0.995 from the first step on
    update(averaged, [torch.zeros(1)], 100_000)
    assert averaged[0] == pytest.approx(0.995, abs=1e-3)


def test_a_norm_of_a_short_training_forgets_what_it_began_with():
    norm = nn.BatchNorm1d(1, momentum=0.01)
    norms = Norms(norm)
    for step in range(20):
        norms.set_momenta(step)
        norm(torch.tensor([[4.0], [6.0]]))
    assert norm.running_mean == pytest.approx(5)  # 0.9 at its own momentum
    assert norm.running_var == pytest.approx(2)
    norms.set_momenta(100_000)
    assert norm.momentum == 0.01


def test_the_norms_of_a_short_training_fit_its_frames(tmp_path):
    config = TrainConfig(street_frames=2, street_size_hw=(64, 96), crop_hw=(48, 64), batch_size=2,
                         epochs=4, validate_every=4, learning_rate=0.0, precision='fp32',
                         cache=str(tmp_path / 'cache'))
    network = load_model(train(config, tmp_path, 'cpu')).network
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    variances = torch.cat([norm.running_var for norm in norms])
    assert (variances - 1).abs().median() > 0.5  # as they began they are 1
