# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A dense model packed with a refiner of its own layers."""

from __future__ import annotations

import pytest
import torch
from tiny import randomise, street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.loading.self_refined import refine_itself
from sparse_seg_ros.networks.folding import folded


def dense(**card):
    model = tiny_model(refines=False, network='mobilenet_edgetpu', scale=1.0, mean=(128.,) * 3,
                       std=(128.,) * 3, **card)
    randomise(model.network)
    return model


def test_a_packed_model_runs_its_network_twice(tmp_path, capsys):
    path, refined = tmp_path / 'dense.safetensors', tmp_path / 'refined.safetensors'
    save_model(dense(), path)
    assert main(['export', 'weights', '--model', str(path), '--refine', '--precision', 'fp32',
                 '-o', str(refined)]) == 0
    model = load_model(refined)
    assert (model.card.scale, model.card.extractor, model.card.ensembler) == (
        0.5, 'network', 'direct')
    network = folded(load_model(path).network).state_dict()
    for key, tensor in model.refiner.extractor.network.state_dict().items():
        assert torch.equal(tensor, network[key])
    segment = ss.load(refined, device='cpu', precision='fp32')
    seen = segment(street_image(96, 128), budget=0.3)
    assert 0 < seen.refined.mean() <= 0.3 and seen.labels.shape == (96, 128)


def test_what_can_not_refine_itself_is_told_why(tmp_path):
    with pytest.raises(ValueError, match='has a refiner already; take one of a dense network'):
        refine_itself(refine_itself(dense()))
    with pytest.raises(ValueError, match="needs the network mobilenet_edgetpu, got 'compact'"):
        refine_itself(tiny_model(refines=False))
