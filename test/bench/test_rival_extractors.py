# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rivals of the extractor compute what it computes."""

from __future__ import annotations

import pytest
import torch
from dense_oracle import gather, scatter

from sparse_seg_ros.bench.rival_extractors import DenseExtractor
from sparse_seg_ros.bench.with_spconv import SpconvExtractor
from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.sparse.layers import NormReLU
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor

SIZE_HW = (33, 46)


@pytest.fixture(name='scene', params=[0.1, 0.6, 1.0])
def make_scene(request):
    """(B, H, W) bool, (N, 3) pixels, a folded extractor whose norms have seen something."""
    generator = torch.Generator().manual_seed(5)
    selected = torch.rand(2, *SIZE_HW, generator=generator) < request.param
    torch.manual_seed(6)
    refiner = SparseRefiner()
    refiner.extractor = Extractor(3, (4, 8, 12))
    for norm in [each for each in refiner.modules() if isinstance(each, NormReLU)]:
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2.0, generator=generator)
    extractor = folded(refiner).extractor.double()
    return selected, torch.randn(int(selected.sum()), 3, dtype=torch.float64), extractor


@torch.inference_mode()
def test_dense_computes_the_same(scene):
    selected, pixels, extractor = scene
    ours = extractor(SparseTensor(pixels, Level(selected))).features
    seen = DenseExtractor(extractor, selected)(scatter(pixels, selected))
    torch.testing.assert_close(gather(seen, selected), ours, rtol=1e-9, atol=1e-9)
    assert not seen.masked_select(~selected[:, None]).any()


@torch.no_grad()
def test_spconv_computes_the_same(scene):
    spconv = pytest.importorskip('spconv.pytorch')
    selected, pixels, extractor = scene
    ours = extractor(SparseTensor(pixels, Level(selected))).features.float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # it races on more
    try:
        sites = Level(selected).sites.int().contiguous()
        seen = SpconvExtractor(extractor.float())(
            spconv.SparseConvTensor(pixels.float(), sites, list(SIZE_HW), 2))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(seen.features, ours, rtol=1e-4, atol=1e-4 * float(ours.max()))
