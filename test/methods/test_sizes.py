# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Any network is a dense stage at any scale of any image: what is padded is cut off again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.request import DEFAULTS, Request
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.timing import Stopwatch

CLASSES = 5


@pytest.fixture(name='network', params=['compact', 'segformer_b0'], scope='module')
def each_network(request):
    if request.param == 'segformer_b0':
        pytest.importorskip('transformers')
    torch.manual_seed(0)
    return build_network(request.param, CLASSES).eval()


def sizes_and_scales():
    """Return heights, widths and scales, drawn but always the same."""
    random = np.random.default_rng(0)
    drawn = [(*map(int, random.integers(5, 140, 2)), scale) for scale in
             (1.0, 0.5, 0.625, *random.uniform(0.3, 1, 2).tolist())]
    return [*drawn, (64, 96, 1.0)]


def coarse_by_hand(network, images, scale):
    """Shrink, pad, run, enlarge and crop, step by step -> (1, C, h, w)."""
    small = images
    if scale < 1:
        size = [max(1, round(side * scale)) for side in images.shape[2:]]
        small = F.adaptive_avg_pool2d(images, size)
    height, width = small.shape[2:]
    whole = [-(-side // network.multiple) * network.multiple for side in (height, width)]
    padded = np.pad(small.numpy(), ((0, 0), (0, 0), (0, whole[0] - height),
                                    (0, whole[1] - width)), mode='edge')
    logits = network(torch.from_numpy(padded))
    assert logits.shape == (1, CLASSES, *(side // network.stride for side in whole))
    return F.interpolate(logits, whole, mode='bilinear')[:, :, :height, :width]


@torch.inference_mode()
@pytest.mark.parametrize(('height', 'width', 'scale'), [*sizes_and_scales(), (1, 1, 0.5)])
def test_logits_are_those_of_the_shrunken_image(network, height, width, scale):
    images = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected = coarse_by_hand(network, images, scale)
    dense = Dense(network, scale)
    torch.testing.assert_close(dense.coarse_logits(images), expected, atol=1e-5, rtol=1e-5)
    labels = dense(images, DEFAULTS, Stopwatch()).labels
    full = F.interpolate(expected, (height, width), mode='nearest')
    sure = full.topk(2, dim=1).values.diff(dim=1)[:, 0] < -1e-4
    assert labels.shape == (1, height, width) and (labels == full.argmax(1))[sure].all()


@torch.inference_mode()
@pytest.mark.parametrize(('height', 'width', 'scale'), sizes_and_scales())
def test_refinement_leaves_what_it_did_not_choose(network, height, width, scale):
    images = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    dense = Dense(network, scale)(images, DEFAULTS, Stopwatch())
    torch.manual_seed(0)
    refiner = SparseRefiner(CLASSES, (4, 8), inputs=('rgb', 'logits')).eval()
    torch.nn.init.normal_(refiner.head.weight)
    method = SparseRefine(network, refiner, scale)
    half = Request(dense.uncertainty.median().item() * np.log(CLASSES))
    refined = method(images, half, Stopwatch())
    kept = ~refined.refined
    assert refined.labels.shape == refined.refined.shape == (1, height, width)
    assert torch.equal(refined.labels[kept], dense.labels[kept])
    assert torch.equal(refined.uncertainty[kept], dense.uncertainty[kept])


def test_a_scale_above_one_shows_a_dense_network_an_enlarged_image(network):
    images = torch.randn(1, 3, 40, 56)
    seen = Dense(network, 1.5)(images, DEFAULTS, Stopwatch())
    large = F.interpolate(images, size=(60, 84), mode='bilinear')
    expected = coarse_by_hand(network, large, 1.0)
    assert torch.allclose(Dense(network, 1.5).coarse_logits(images), expected, atol=1e-5)
    assert seen.labels.shape == (1, 40, 56)
