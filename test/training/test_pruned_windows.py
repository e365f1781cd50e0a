# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A Swin transformer learns while windows are left out, as SparseViT adapts it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hugging_face import TinyMask2Former

from sparse_seg_ros.loading.checkpoints import load_model
from sparse_seg_ros.methods.sparse_vit.windows import pruned_stages
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train
from sparse_seg_ros.training.start import start_model

ADAPTED = TrainConfig(network='mask2former_swin_t', loss='masks', scale=1.0, street_frames=2,
                      street_size_hw=(64, 96), street_scales=(1.0, 1.0), crop_hw=(64, 64),
                      batch_size=2, epochs=1, precision='fp32', window_sparsity_range=(0.4, 0.8))


@pytest.fixture(name='tiny', autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(NETWORKS, 'mask2former_swin_t', TinyMask2Former)


def test_it_goes_on_from_the_plain_network_and_gives_one(tmp_path):
    start = train(replace(ADAPTED, window_sparsity_range=None), tmp_path / 'plain')
    config = replace(ADAPTED, start_from=str(start), learning_rate=0.01)
    stages = pruned_stages(start_model(config).network)
    assert [stage.sparsity for stage in stages] == [(0.4, 0.8)] * 4
    before, model = load_model(start), load_model(train(config, tmp_path / 'adapted'))
    assert not pruned_stages(model.network)
    own, other = model.network.state_dict(), before.network.state_dict()
    assert own.keys() == other.keys()
    assert any(not torch.equal(own[name], other[name]) for name in own if '.blocks.' in name)


@pytest.mark.parametrize(('change', 'words'), [
    ({'network': 'compact', 'loss': 'pixels'}, 'left out of Swin transformers'),
    ({'window_sparsity_range': (0.8, 0.4)}, r'such as \[0.0, 0.6\], got \[0.8, 0.4\]'),
])
def test_what_has_no_windows_or_no_range_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        start_model(replace(ADAPTED, **change))


def test_a_refiner_leaves_out_no_windows(tmp_path):
    start = train(replace(ADAPTED, window_sparsity_range=None), tmp_path)
    with pytest.raises(ValueError, match="'refiner' trains no network whose windows are left out"):
        start_model(replace(ADAPTED, stage='refiner', loss='pixels', start_from=str(start)))
