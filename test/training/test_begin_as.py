# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Classes that begin as those of released weights."""

from __future__ import annotations

import pytest
import torch
from edgetpu_oracle import released_tensors
from safetensors.torch import save_file

from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.start import start_model

NAMES = ('sky', 'building', 'pole', 'road', 'sidewalk', 'vegetation', 'traffic sign', 'fence',
         'car', 'person', 'bicycle')


def config(folder, names=NAMES, **changes) -> TrainConfig:
    tensors = released_tensors()
    save_file(tensors, folder / 'released.safetensors')
    return TrainConfig(**{'network': 'mobilenet_edgetpu', 'begin_as': names,
                          'backbone': str(folder / 'released.safetensors'), **changes})


def test_each_class_begins_as_the_one_named_for_it(tmp_path):
    network = start_model(config(tmp_path)).network
    weight = released_tensors()['209.weight'].float()
    assert torch.equal(network.coarse_head.weight[0], weight[10])  # sky
    assert torch.equal(network.coarse_head.weight[3], weight[0])  # road
    assert network.head.weight.count_nonzero() == 0


def test_names_that_do_not_fit_are_answered_with_the_cure(tmp_path):
    with pytest.raises(ValueError, match="'begin_as' must name 11 classes, .* camvid; got 2"):
        start_model(config(tmp_path, ('sky', 'road')))
    with pytest.raises(ValueError, match="got 'rod'; did you mean 'road'"):
        start_model(config(tmp_path, ('rod', *NAMES[1:])))
    with pytest.raises(ValueError, match="'begin_as' needs a 'backbone' whose weights hold cl"):
        start_model(config(tmp_path, network='compact', backbone=None))
