# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folded norms of a dense network."""

from __future__ import annotations

import torch
from torch import nn

from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.folding import folded


@torch.inference_mode()
def test_a_folded_network_computes_the_same_without_norms():
    torch.manual_seed(0)
    network = Compact(5).double().eval()
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    images = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    twin = folded(network)
    torch.testing.assert_close(twin(images), network(images), atol=1e-9, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
