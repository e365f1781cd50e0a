# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The memory of training: what autograd saves, counted by hand for small networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_seg_ros.bench import attention
from sparse_seg_ros.bench.training_memory import count_memory, saved_bytes


def small():
    return nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.Conv2d(5, 2, 1), nn.Sigmoid())


def test_each_tensor_that_a_layer_needs_again_is_counted_once():
    parameters = 3 * 5 + 5 + 5 * 2 + 2
    # the images, the ReLU's output, which two layers need, and the sigmoid's output
    values = 2 * 7 * 9 * (3 + 5 + 2)
    assert count_memory(small, (2, 3, 7, 9)) == 16 * parameters + 4 * values


def test_a_view_shares_the_memory_of_its_tensor():
    class Views(nn.Module):
        """Two layers that need the same values in other shapes."""

        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(8, 4), nn.Linear(4, 8)

        def forward(self, x):
            return self.one(x.view(4, 8)).sum() + self.other(x.view(8, 4)).sum()

    assert saved_bytes(Views(), torch.zeros(32)) == 4 * 32


def test_as_much_is_counted_without_values_as_with_them():
    network, images = small(), torch.randn(2, 3, 7, 9)
    parameters = sum(weight.numel() for weight in network.parameters())
    assert count_memory(small, (2, 3, 7, 9)) == saved_bytes(network, images) + 16 * parameters


def test_lrformer_takes_what_its_paper_says_at_one_megapixel_and_grows_more_slowly():
    pytest.importorskip('transformers')
    small, large = ({name: count_memory(attention.NETWORKS[name], (1, 3, side, side))
                     for name in ('lrformer_s', 'segformer_b2')} for side in (1024, 1536))
    assert small['lrformer_s'] == pytest.approx(5.7e9, abs=0.1e9)
    growth = {name: large[name] / small[name] for name in small}
    assert growth['lrformer_s'] < 1.5 ** 2 < growth['segformer_b2']
