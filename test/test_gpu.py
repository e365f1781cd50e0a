# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same model and the same convolution on the GPU and on the CPU (`make test-gpu`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_model, tiny_refined_by_network

import sparse_seg_ros as ss
from sparse_seg_ros.cuda_graphs import FrameGraphs
from sparse_seg_ros.device import autocast
from sparse_seg_ros.kernels.switch import checked as checked_kernels
from sparse_seg_ros.kernels.switch import kernels_of
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler, SigmoidEnsembler
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.backend import backend_of, checked
from sparse_seg_ros.sparse.convolution import Extras
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.padded_level import PaddedLevel, Rectangles
from sparse_seg_ros.timing import Stopwatch

pytestmark = [pytest.mark.gpu,
              pytest.mark.skipif(not torch.cuda.is_available(), reason='torch finds no CUDA')]


def tiny_refined() -> Model:
    model = tiny_model()
    torch.nn.init.normal_(model.refiner.head.weight)
    return model


@pytest.fixture(name='path', params=[tiny_refined, tiny_refined_by_network,
                                     lambda: tiny_model(refines=False)],
                ids=['sparse_refine', 'network', 'dense'])
def save_tiny(request, tmp_path):
    model = request.param()
    save_model(model, tmp_path / 'tiny.safetensors')
    return tmp_path / 'tiny.safetensors'


@pytest.mark.parametrize(('precision', 'tolerance'), [('fp32', 1e-3), ('fp16', 2e-2)])
def test_cuda_segments_like_the_cpu(path, precision, tolerance):
    image = street_image(192, 256)
    expected = ss.load(path, device='cpu', precision='fp32')(image)
    seen = ss.load(path, device='cuda', precision=precision)(image)
    assert (seen.labels == expected.labels).mean() > 1 - 5 * tolerance
    assert np.abs(seen.uncertainty - expected.uncertainty).mean() < tolerance


def test_a_frame_with_a_budget_never_makes_the_host_wait(path):
    segment, image = ss.load(path, device='cuda', precision='fp16'), street_image(192, 256)
    if segment.budget is None:
        pytest.skip('refines nothing')
    want = segment(image, alpha=0.5, budget=0.1)  # compiles the kernels
    images = segment.normalise(image)
    torch.cuda.set_sync_debug_mode('error')
    try:
        with torch.inference_mode(), autocast('cuda', 'fp16'):
            output = segment.method(images, Request(0.5, 0.1), Stopwatch('cuda'))
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert np.array_equal(output.refined[0].cpu().numpy(), want.refined) and want.refined.any()


@pytest.mark.parametrize('budget', [0.0, 0.001, 0.2])
def test_cuda_refines_within_a_budget_like_the_cpu(path, budget):
    if (on_cpu := ss.load(path, device='cpu', precision='fp32')).budget is None:
        pytest.skip('refines nothing')
    image = street_image(193, 258)
    seen = ss.load(path, device='cuda', precision='fp32')(image, budget=budget)
    expected = on_cpu(image, budget=budget)
    assert (seen.labels == expected.labels).mean() > 0.995 and seen.is_cut == expected.is_cut
    assert (seen.refined == expected.refined).mean() > 0.995 and seen.density <= budget


def test_stages_on_cuda_add_up_to_the_total(path):
    segment = ss.load(path, device='cuda')
    segment(street_image())
    milliseconds = segment(street_image()).milliseconds
    parts = sum(spent for stage, spent in milliseconds.items() if stage != 'total')
    assert 0.5 * milliseconds['total'] < parts <= milliseconds['total']


@pytest.mark.parametrize('workers', [1, 3])
def test_a_cuda_graph_replays_what_was_computed(path, workers):
    segment = ss.load(path, device='cuda', precision='fp16')
    limits = {} if segment.budget is None else {'alpha': 0.5, 'budget': 0.1}
    images = [street_image(192, 256, seed) for seed in range(4)]
    want = [segment(image, **limits) for image in images]
    segment.graphs = FrameGraphs(segment.normalisation)
    with ThreadPoolExecutor(workers) as threads:
        seen = list(threads.map(lambda image: segment(image, **limits), 3 * images))
    assert not segment.graphs.failure
    for got, expected in zip(seen, 3 * want):  # all now: no frame overwrote another's arrays
        assert np.array_equal(got.labels, expected.labels)
        assert np.array_equal(got.uncertainty, expected.uncertainty)
        assert got.milliseconds.keys() == expected.milliseconds.keys()
        parts = sum(spent for stage, spent in got.milliseconds.items() if stage != 'total')
        assert 0 < parts <= got.milliseconds['total']


@pytest.fixture(name='with_triton')
def import_triton():
    return pytest.importorskip('sparse_seg_ros.sparse.with_triton')


def test_triton_is_what_convolves_on_a_gpu(with_triton):
    assert backend_of('cuda') is with_triton


@pytest.mark.parametrize('stage', ['image', 'scores', 'tables', 'ensemble', 'result'])
def test_triton_computes_the_stages_around_the_networks(with_triton, stage):
    assert kernels_of(stage, 'cuda') is checked_kernels(stage, 'cuda')


@pytest.mark.parametrize('count', [1, 5000, 512 * 1024 - 1])
def test_the_threshold_of_a_large_map_is_exact(with_triton, count):
    scores = checked_kernels('scores', 'cuda')
    values = torch.rand(2, 512 * 1024, generator=torch.Generator().manual_seed(0))
    want = values.sort(1, descending=True).values[:, count - 1:count]
    assert torch.equal(scores.kth_highest(values.cuda(), count).cpu(), want)


@pytest.mark.parametrize('padding', [0, 1])
def test_the_tables_of_a_level_are_those_of_the_cpu(with_triton, padding):
    mask = torch.rand(2, 257, 300, generator=torch.Generator().manual_seed(0)) < 0.2
    for _ in range(3):
        levels = [PaddedLevel(mask.to(device), Rectangles(int(mask.sum()) + 9), padding)
                  for device in ('cpu', 'cuda')]
        maps = [(*level.neighbours.parts, *level.down.parts, *level.down.adjoint.parts)
                for level in levels]
        for want, got in zip(*maps):
            assert torch.equal(got.table.cpu(), want.table) and got.kernels == want.kernels
            assert want.rows is None or torch.equal(got.rows.cpu(), want.rows)
            assert torch.equal(got.active.cpu(), want.active)
        assert torch.equal(levels[1].sites.cpu(), levels[0].sites)
        mask = levels[0].coarser.mask


@pytest.mark.parametrize('kind', [Ensembler, SigmoidEnsembler])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-4), (torch.float16, 2e-2)],
                         ids=str)
def test_the_ensembler_mixes_like_the_cpu(with_triton, kind, dtype, tolerance):
    torch.manual_seed(0)
    module, coarse, refined = kind(19), torch.randn(500, 19), torch.randn(2000, 19)
    with torch.no_grad():
        for values in module.parameters():
            values.normal_(0, 0.2)
        want = module(coarse, refined)
        with torch.autocast('cuda', dtype, enabled=dtype != torch.float32):
            got = module.cuda()(coarse.cuda(), refined.cuda())
    torch.testing.assert_close(got.float().cpu(), want, rtol=tolerance, atol=tolerance)


def test_a_norm_and_a_residual_join_the_convolution(with_triton):
    level = Level((torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0)) < 0.4).cuda())
    features, weight = torch.randn(len(level), 64).cuda(), torch.randn(9, 64, 48).cuda() / 24
    residual, norm = torch.randn(len(level), 48).cuda(), torch.randn(2, 64).cuda()
    got = with_triton.multiply(features, weight, level.neighbours, weight[0, 0],
                               Extras((norm[0], norm[1]), residual))
    plain = reference.multiply((features * norm[0] + norm[1]).relu(), weight, level.neighbours)
    torch.testing.assert_close(got, (plain + weight[0, 0] + residual).relu(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('dtype', 'tolerance'), [
    (torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)], ids=str)
@pytest.mark.parametrize(('cin', 'cout'), [(3, 32), (14, 16), (64, 32), (130, 150), (256, 256)])
def test_triton_convolves_like_the_cpu(with_triton, cin, cout, dtype, tolerance):
    generator = torch.Generator().manual_seed(cin)
    mask = torch.rand((2, 65, 90), generator=generator) < 0.3
    weight = torch.randn((9, cin, cout), generator=generator).to(dtype)
    there, here = Level(mask.cuda()), Level(mask)
    for got_pairs, pairs in ((there.neighbours, here.neighbours), (there.down, here.down),
                             (there.down.adjoint, here.down.adjoint)):
        features = torch.randn((pairs.inputs, cin), generator=generator).to(dtype)
        for shift in (None, weight[0, 0]):
            got = with_triton.multiply(features.cuda(), weight.cuda(), got_pairs,
                                       None if shift is None else shift.cuda()).cpu()
            want = reference.multiply(features.double(), weight.double(), pairs,
                                      None if shift is None else shift.double())
            assert (got - want).abs().max() < tolerance * want.abs().max()


def test_torchsparse_convolves_like_the_reference():
    pytest.importorskip('torchsparse')
    assert checked('torchsparse', 'cuda').__name__.endswith('with_torchsparse')


def test_gradients_on_cuda_equal_those_of_the_reference(with_triton):
    level = Level((torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0)) < 0.4).cuda())
    features, weight = torch.randn(len(level), 32).cuda(), torch.randn(9, 32, 48).cuda()
    grad = torch.randn(len(level), 48).cuda()
    both = [module.multiply_back(features, weight, grad, level.neighbours, (True, True))
            for module in (with_triton, reference)]
    for got, want in zip(*both):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
