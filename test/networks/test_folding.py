# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folded norms of a dense network."""

from __future__ import annotations

import pytest
import torch
from tiny import randomise
from torch import nn

from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.efficientnet_lite import EfficientNetLite0
from sparse_seg_ros.networks.folding import folded


@pytest.mark.parametrize('kind', [Compact, EfficientNetLite0])
@torch.inference_mode()
def test_a_folded_network_computes_the_same_without_norms(kind):
    network = randomise(kind(5).double().eval())
    images = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    twin = folded(network)
    torch.testing.assert_close(twin(images), network(images), atol=1e-9, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
