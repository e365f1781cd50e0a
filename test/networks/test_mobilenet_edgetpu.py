# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MobileNet-EdgeTPU-slim against a walk along its released graph, and against its size."""

from __future__ import annotations

import csv

import pytest
import torch
from counting import count_parameters
from edgetpu_oracle import RELEASED, conv, literal, released_tensors

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.mobilenet_edgetpu import (
    STEPS,
    Encoder,
    MobileNetEdgeTPU,
    global_average,
    resized,
)

GRAPH = RELEASED.parent / 'deeplab_edgetpu_slim_steps.tsv'


def test_it_has_the_released_number_of_parameters():
    assert count_parameters(Encoder()) == 2_055_379 - 19 * 129
    assert count_parameters(build_network('mobilenet_edgetpu', 11)) == 2_273_531 + 11 * 129


def test_every_convolution_has_a_step_of_the_released_graph():
    encoder = Encoder()
    assert {key.rpartition('.')[0] for key in encoder.state_dict()} == STEPS.keys()
    assert len(set(STEPS.values())) == len(STEPS)
    assert encoder.released_name('blocks.1.project.bias') == '78.bias'


@pytest.fixture(name='tensors', params=['drawn', 'released'])
def weights(request):
    if request.param == 'drawn':
        return released_tensors()
    if not RELEASED.is_file():
        pytest.skip(f'needs {RELEASED}')
    return checkpoints.read_tensors(RELEASED)


@torch.inference_mode()
@pytest.mark.parametrize('size', [(48, 64), (49, 63)], ids=str)
def test_maps_equal_those_of_the_graph_step_by_step(tensors, size, tmp_path):
    torch.save(tensors, tmp_path / 'released.pth')
    encoder = Encoder().double().eval()
    checkpoints.load(encoder, tmp_path / 'released.pth')
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).double()
    for got, want in zip(encoder(images), literal(images, tensors), strict=True):
        assert want.std() > 1e-4
        torch.testing.assert_close(got, want, atol=1e-9 * want.abs().max().item(), rtol=0)


def test_the_table_of_blocks_is_the_released_graph():
    if not GRAPH.is_file():
        pytest.skip(f'needs {GRAPH}')
    rows = {int(row['out']): row for row in csv.DictReader(GRAPH.open(), delimiter='\t')}
    modules = dict(Encoder().named_modules())
    for name, step in STEPS.items():
        row, module = rows[step], modules[name]
        assert 'x'.join(map(str, module.weight.shape)) == row['weight']
        assert (str(module.stride[0]), str(module.dilation[0])) == (row['stride'], row['dilation'])


@torch.inference_mode()
def test_doubling_puts_row_i_on_row_2i_and_halves_between():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    got = MobileNetEdgeTPU.doubled(x)
    assert got.shape == (2, 3, 8, 10)
    torch.testing.assert_close(got[..., ::2, ::2], x)
    torch.testing.assert_close(got[..., 1:-1:2, ::2], (x[..., 1:, :] + x[..., :-1, :]) / 2)
    torch.testing.assert_close(got[..., -1, ::2], x[..., -1, :])  # beyond the last row: the same


@pytest.mark.parametrize('size', [(1, 1), (1, 4), (3, 2)], ids=str)
def test_doubling_is_one_operation_of_an_engine(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(MobileNetEdgeTPU.doubled(x), resized(x))


@torch.inference_mode()
def test_it_begins_as_the_released_classifier():
    tensors, rows = released_tensors(), [3, 0, 18]
    network = build_network('mobilenet_edgetpu', 3).eval()
    network.backbone.load_state_dict({
        key: tensors[Encoder.released_name(key)] for key in network.backbone.state_dict()})
    network.double().begin_as(tensors, rows)
    images = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)).double()
    want = conv(literal(images, tensors)[-1], tensors, 209)[:, rows]
    torch.testing.assert_close(network(images)[..., ::16, ::16], want)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_the_average_of_a_large_map_stays_in_range(dtype):
    x = torch.full((2, 3, 135, 240), 9.0, dtype=dtype)  # their sum is beyond float16
    x[:, 1] = -9.0
    average = global_average(x)
    assert average.shape == (2, 3, 1, 1) and average.dtype == dtype
    torch.testing.assert_close(average, x[..., :1, :1], rtol=torch.finfo(dtype).eps * 4, atol=0)
