# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MobileNet-EdgeTPU-slim against a walk along its released graph, and against its size."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import torch
from counting import count_parameters
from layers_oracle import draw
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros import checkpoints
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.mobilenet_edgetpu import BLOCKS, STEPS, WITHOUT_SHORTCUT, Encoder

DATA = Path(os.environ.get('SPARSE_SEG_DATA', Path(__file__).parents[3] / 'shared' / 'data'))
WEIGHTS = DATA.parent / 'weights'
GRAPH = WEIGHTS / 'deeplab_edgetpu_slim_steps.tsv'
RELEASED = WEIGHTS / 'deeplab_edgetpu_slim_cityscapes.safetensors'


def test_it_has_the_released_number_of_parameters():
    assert count_parameters(Encoder()) == 2_055_379 - 19 * 129
    assert count_parameters(build_network('mobilenet_edgetpu', 11)) == 2_273_531


def test_every_convolution_has_a_step_of_the_released_graph():
    encoder = Encoder()
    assert {key.rpartition('.')[0] for key in encoder.state_dict()} == STEPS.keys()
    assert len(set(STEPS.values())) == len(STEPS)
    assert encoder.released_name('blocks.1.project.bias') == '78.bias'


def released_tensors() -> dict[str, Tensor]:
    """Random weights under the released names, the classifier's among them."""
    shapes = {Encoder.released_name(key): tuple(tensor.shape)
              for key, tensor in Encoder().state_dict().items()}
    return draw(shapes | {'209.weight': (19, 128, 1, 1), '209.bias': (19,)})


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


def literal(x: Tensor, t: dict[str, Tensor]) -> list[Tensor]:
    """(B, 3, H, W) -> what steps 70, 89, 108 and 207 give, by the numbers of the graph."""
    maps, step = [], 70
    x = conv(conv(x, t, 68, 2).relu(), t, 70)
    maps.append(x)
    for place, (_, _, _, stride, dilation, is_fused) in enumerate(BLOCKS):
        y = conv(x, t, step + 2, stride if is_fused else 1).relu()
        if not is_fused:
            step += 2
            y = conv(y, t, step + 2, stride, dilation).relu()
        y, step = conv(y, t, step + 4), step + 4
        if place not in WITHOUT_SHORTCUT:
            y, step = y + x, step + 1
        x = y
        if step in (89, 108):
            maps.append(x)
    assert step == 195
    x = conv(x, t, 197).relu()
    pooled = conv(x.mean((2, 3), keepdim=True), t, 202).relu().expand(-1, -1, *x.shape[2:])
    return [*maps, conv(torch.cat((pooled, conv(x, t, 200).relu()), 1), t, 207).relu()]


def conv(x: Tensor, t: dict[str, Tensor], step: int, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolution under padding 'same': ceil(size / stride) outputs, the odd pixel at the end."""
    weight, bias = t[f'{step}.weight'].double(), t[f'{step}.bias'].double()
    height, width = (
        max((-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
        for side, kernel in zip(x.shape[2:], weight.shape[2:]))
    x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
    return F.conv2d(x, weight, bias, stride, 0, dilation, x.shape[1] // weight.shape[1])


def test_the_table_of_blocks_is_the_released_graph():
    if not GRAPH.is_file():
        pytest.skip(f'needs {GRAPH}')
    rows = {int(row['out']): row for row in csv.DictReader(GRAPH.open(), delimiter='\t')}
    modules = dict(Encoder().named_modules())
    for name, step in STEPS.items():
        row, module = rows[step], modules[name]
        assert 'x'.join(map(str, module.weight.shape)) == row['weight']
        assert (str(module.stride[0]), str(module.dilation[0])) == (row['stride'], row['dilation'])
