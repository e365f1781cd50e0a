# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sparse U-Net against dense-masked convolution."""

from __future__ import annotations

import dense_oracle
import pytest
import spconv_oracle
import torch
from bounds import assert_rounded, count_additions

from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.sparse import reference, winograd
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor

MASKS = {
    'some': lambda: torch.rand(2, 35, 42, generator=torch.Generator().manual_seed(0)) < 0.15,
    'all': lambda: torch.ones(1, 16, 15, dtype=torch.bool),
    'smallest': lambda: torch.ones(1, 15, 15, dtype=torch.bool),
    'one image empty': lambda: torch.stack((torch.ones(20, 20), torch.zeros(20, 20))).bool(),
}


def some_extractor(is_training: bool, planes=(4, 6, 8, 10)) -> Extractor:
    torch.manual_seed(0)
    extractor = Extractor(3, planes).double().train(is_training)
    for name, buffer in extractor.named_buffers():
        if 'running' in name:
            buffer.uniform_(-0.5, 0.5) if 'mean' in name else buffer.uniform_(0.5, 2)
    return extractor


@pytest.mark.parametrize('is_training', [True, False], ids=['training', 'evaluation'])
@pytest.mark.parametrize('mask', MASKS)
def test_extractor_and_all_its_gradients_equal_dense_convolution(mask, is_training):
    mask, extractor = MASKS[mask](), some_extractor(is_training)
    pixels = torch.randn(int(mask.sum()), 3, dtype=torch.float64, requires_grad=True)
    got = extractor(SparseTensor(pixels, Level(mask))).features
    dense = dense_oracle.extract(
        dense_oracle.scatter(pixels, mask), mask[:, None].double(), extractor
    )
    want = dense_oracle.gather(dense, mask)
    torch.testing.assert_close(got, want)
    parameters, grad = [pixels, *extractor.parameters()], torch.randn_like(want)
    got_grads = torch.autograd.grad(got, parameters, grad, materialize_grads=True)
    want_grads = torch.autograd.grad(want, parameters, grad, materialize_grads=True)
    torch.testing.assert_close(got_grads, want_grads, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize('count', [0, 1])
@pytest.mark.parametrize('is_training', [True, False], ids=['training', 'evaluation'])
def test_almost_nothing_selected(count, is_training):
    mask = torch.zeros(1, 40, 50, dtype=torch.bool)
    mask[0, 17, 31] = bool(count)
    extractor = some_extractor(is_training)
    features = extractor(
        SparseTensor(torch.ones(count, 3, dtype=torch.float64), Level(mask))
    ).features
    features.sum().backward()
    assert features.shape == (count, 4)
    assert all(parameter.grad.isfinite().all() for parameter in extractor.parameters())


def test_an_image_gets_the_same_features_alone_and_in_a_batch():
    mask, extractor = MASKS['some'](), some_extractor(is_training=False)
    pixels = torch.randn(int(mask.sum()), 3, dtype=torch.float64)
    together = extractor(SparseTensor(pixels, Level(mask))).features
    first = int(mask[0].sum())
    alone = [
        extractor(SparseTensor(part, Level(mask[i : i + 1]))).features
        for i, part in enumerate((pixels[:first], pixels[first:]))
    ]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(('stages', 'side'), [(1, 1), (4, 15), (6, 63)])
def test_an_image_must_leave_a_pixel_at_the_coarsest_stage(stages, side):
    extractor = Extractor(3, (2,) * stages)
    mask = torch.ones(1, side, side + 9, dtype=torch.bool)
    extractor(SparseTensor(torch.zeros(mask.numel(), 3), Level(mask)))
    small = mask[:, 1:]
    message = (
        f'at least {side} px on its short side for {stages} stages, got {side - 1}x{side + 9}'
    )
    with pytest.raises(ValueError, match=message):
        extractor(SparseTensor(torch.zeros(small.numel(), 3), Level(small)))


@pytest.mark.parametrize(
    ('planes', 'count'),
    [((32, 64, 128, 256, 512, 1024), 79_334_560), ((32, 64, 128, 256, 512), 19_811_488)],
)
def test_it_has_the_published_number_of_parameters(planes, count):
    with torch.device('meta'):
        extractor = Extractor(3, planes)
    assert sum(parameter.numel() for parameter in extractor.parameters()) == count


@pytest.mark.parametrize('by_winograd', [False, True], ids=['by rows', 'by Winograd'])
def test_six_stages_equal_dense_convolution_and_spconv(by_winograd, monkeypatch):
    spconv = pytest.importorskip('spconv.pytorch')
    monkeypatch.setattr(reference, 'TILE_CHANNELS', 8 if by_winograd else 10**9)
    monkeypatch.setattr(winograd, 'FEWEST_TILES', 1)
    monkeypatch.setattr(winograd, 'FEWEST_ACTIVE', 0)
    mask = torch.rand(2, 90, 75, generator=torch.Generator().manual_seed(0)) < 0.2
    extractor = some_extractor(is_training=False, planes=(8, 16, 16, 32, 32, 48)).float()
    pixels = torch.randn(int(mask.sum()), 3)
    got = extractor(SparseTensor(pixels, Level(mask))).features
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # its CPU wheel races on more
    try:
        sites = mask.nonzero().int().contiguous()
        x = spconv.SparseConvTensor(pixels, sites, list(mask.shape[1:]), len(mask))
        want = spconv_oracle.extract(x, extractor).features
    finally:
        torch.set_num_threads(threads)
    exact = dense_oracle.gather(dense_oracle.extract(
        dense_oracle.scatter(pixels.double(), mask), mask[:, None].double(),
        extractor.double()), mask)
    additions = count_additions(extractor)
    assert_rounded(want, exact, additions)
    assert_rounded(got, exact, additions)
