# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A method from outside takes one line of METHODS, and goes wherever the others go."""

from __future__ import annotations

import pytest
from tiny import street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.loading.method_config import read_method
from sparse_seg_ros.methods import METHODS
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import train


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Return a folder with a trained toy, toy.yaml."""
    monkeypatch.setitem(METHODS, 'toy', 'toy_method')
    save_model(tiny_model(refines=False), tmp_path / 'dense.safetensors')
    config = TrainConfig(stage='toy', start_from=str(tmp_path / 'dense.safetensors'),
                         street_frames=2, street_size_hw=(64, 96), crop_hw=(32, 48), epochs=1,
                         batch_size=2, cache=str(tmp_path), precision='fp32')
    weights = train(config, tmp_path / 'run', 'cpu')
    assert load_model(weights).card.refined_by == 'toy'
    (tmp_path / 'toy.yaml').write_text('method: toy\nweights: run\nboost: 2.0\nbudget: 0.25\n')
    return tmp_path


def test_a_toy_is_trained_loaded_from_yaml_and_evaluated(toy):
    segment = ss.load(toy / 'toy.yaml', 'cpu', 'fp32')
    image = street_image()
    seen = segment(image)
    assert seen.density == 0.25 and segment.description['method'] == 'toy'
    assert segment(image, budget=0.5).density == 0.5
    report = evaluate(segment, [(image, seen.labels)])
    assert report.mean_iou == 1.0 and report.density == 0.25
    assert ss.load(toy / 'run', 'cpu', 'fp32').method.config.boost == 1.0


def test_settings_of_a_toy_are_its_own(toy):
    with pytest.raises(ValueError, match="'boost' is for method toy, not 'dense'; leave it out"):
        read_method({'method': 'dense', 'boost': 2.0}, 'my.yaml')
    with pytest.raises(ValueError, match="unknown setting 'bost'; did you mean 'boost'"):
        read_method({'method': 'toy', 'bost': 2.0}, 'my.yaml')
    assert NodeConfig(method='toy').method == 'toy'


def test_a_toy_runs_in_the_node(toy, ros):
    from ros_images import connect, image, serve

    from sparse_seg_ros.ros.node import load_model as load_for_node

    node = ros.segmentation(load_for_node, model=str(toy / 'toy.yaml'), device='cpu', budget=0.5)
    node.autostart()
    assert node.state == 'active', node.error
    assert serve(ros, node, connect(ros), image()).published == 1
