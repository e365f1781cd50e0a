# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Last features of networks, against the networks' own classifiers."""

from __future__ import annotations

import pytest
import torch
from tiny import TinyLRFormer, TinySegmenter
from torch.nn import functional as F

from sparse_seg_ros.networks import run_padded
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.features import classifier_of, count_features, run_with_features


@pytest.mark.parametrize('kind', [Compact, TinyLRFormer])
@torch.inference_mode()
def test_features_are_what_the_classifier_makes_logits_of(kind):
    torch.manual_seed(0)
    network = kind(5).double().eval()
    images = torch.randn(2, 3, 45, 70, dtype=torch.float64)
    logits, features = run_with_features(network, images)
    assert torch.equal(logits, run_padded(network, images))
    assert features.values.shape[:2] == (2, count_features(network))
    small = classifier_of(network)(features.values)
    padded = 48 if network.multiple == 16 else 64, 80 if network.multiple == 16 else 96
    again = F.interpolate(small, padded, mode='bilinear')[..., :45, :70]
    torch.testing.assert_close(again, logits)
    nearest = F.interpolate(features.values, padded, mode='nearest')[..., :45, :70]
    batch, y, x = (torch.randint(side, (40,)) for side in (2, 45, 70))
    assert torch.equal(features.at(batch, y, x), nearest[batch, :, y, x])
    torch.testing.assert_close(features.magnitude(), nearest.float().norm(dim=1))


def test_a_network_without_such_a_map_says_which_have_one():
    with pytest.raises(ValueError, match='TinySegmenter has no map of last features.* compact'):
        run_with_features(TinySegmenter(5), torch.zeros(1, 3, 32, 32))
