# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0 against its published size and names, and against a literal computation."""

from __future__ import annotations

import pytest
import torch
from counting import count_parameters
from layers_oracle import draw
from torch.nn import functional as F

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.efficientnet_lite import Encoder

PUBLISHED = 4_652_008  # parameters of the classifier
BLOCKS = (  # width, expansion, kernel, stride of each, by the release
    (16, 1, 3, 1), (24, 6, 3, 2), (24, 6, 3, 1), (40, 6, 5, 2), (40, 6, 5, 1),
    (80, 6, 3, 2), (80, 6, 3, 1), (80, 6, 3, 1), (112, 6, 5, 1), (112, 6, 5, 1), (112, 6, 5, 1),
    (192, 6, 5, 2), (192, 6, 5, 1), (192, 6, 5, 1), (192, 6, 5, 1), (320, 6, 3, 1))


def released_shapes():
    """Every tensor of the released classifier: name -> shape."""
    def norm(name, width):
        return {f'{name}.{part}': (width,) for part in
                ('weight', 'bias', 'running_mean', 'running_var')} | {
                    f'{name}.num_batches_tracked': ()}

    shapes = {'_conv_stem.weight': (32, 3, 3, 3)} | norm('_bn0', 32)
    before = 32
    for index, (width, expansion, size, _) in enumerate(BLOCKS):
        wide, block = before * expansion, f'_blocks.{index}'
        if expansion > 1:
            shapes |= {f'{block}._expand_conv.weight': (wide, before, 1, 1)}
            shapes |= norm(f'{block}._bn0', wide)
        shapes |= {f'{block}._depthwise_conv.weight': (wide, 1, size, size)}
        shapes |= norm(f'{block}._bn1', wide)
        shapes |= {f'{block}._project_conv.weight': (width, wide, 1, 1)}
        shapes |= norm(f'{block}._bn2', width)
        before = width
    shapes |= {'_conv_head.weight': (1280, 320, 1, 1)} | norm('_bn1', 1280)
    return shapes | {'_fc.weight': (1000, 1280), '_fc.bias': (1000,)}


@pytest.fixture(name='released', scope='module')
def released_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'efficientnet-lite0.pth'
    torch.save(draw(released_shapes()), path)
    return path


def test_the_released_names_hold_as_many_parameters_as_published():
    counted = sum(torch.Size(shape).numel() for name, shape in released_shapes().items()
                  if name.endswith(('weight', 'bias')))
    assert counted == PUBLISHED


def test_the_encoder_is_the_classifier_without_its_end():
    left_out = sum(torch.Size(shape).numel() for name, shape in released_shapes().items()
                   if name.startswith(('_blocks.15.', '_conv_head.', '_bn1.', '_fc.'))
                   and name.endswith(('weight', 'bias')))
    assert count_parameters(Encoder()) == PUBLISHED - left_out
    assert count_parameters(build_network('efficientnet_lite0', 11)) == 2_578_107


def test_a_file_that_lacks_a_tensor_is_refused_by_its_released_name(released, tmp_path):
    tensors = torch.load(released, weights_only=True)
    del tensors['_blocks.3._bn1.bias']
    torch.save(tensors, tmp_path / 'short.pth')
    with pytest.raises(ValueError, match=r'_blocks\.3\._bn1\.bias'):
        checkpoints.load(Encoder(), tmp_path / 'short.pth')


@torch.inference_mode()
def test_maps_equal_those_of_the_classifier_with_every_stride(released):
    """The classifier strides where the encoder dilates: it has every other value of the last."""
    encoder = Encoder().double().eval()
    checkpoints.load(encoder, released)
    images = torch.randn(2, 3, 97, 129, generator=torch.Generator().manual_seed(1)).double()
    maps = encoder(images)  # of an odd size, the released padding is the same on both sides
    expected = literal(images, torch.load(released, weights_only=True))
    for got, want in zip((*maps[:3], maps[3][..., ::2, ::2]), expected, strict=True):
        assert want.std() > 1e-3
        torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)


def literal(images, t):
    """(B, 3, H, W) -> outputs of blocks 0, 2, 4 and 14, with the release's padding."""
    x = relu6(norm(conv(images, t['_conv_stem.weight'], 2), t, '_bn0'))
    outputs = []
    for index, (width, expansion, _, stride) in enumerate(BLOCKS[:15]):
        block, y = f'_blocks.{index}', x
        if expansion > 1:
            y = relu6(norm(conv(y, t[f'{block}._expand_conv.weight']), t, f'{block}._bn0'))
        y = relu6(norm(conv(y, t[f'{block}._depthwise_conv.weight'], stride), t, f'{block}._bn1'))
        y = norm(conv(y, t[f'{block}._project_conv.weight']), t, f'{block}._bn2')
        x = x + y if stride == 1 and x.shape[1] == width else y
        outputs.append(x)
    return [outputs[index] for index in (0, 2, 4, 14)]


def conv(x, weight, stride=1):
    """Convolution under padding 'same': ceil(size / stride) outputs, the odd pixel at the end."""
    height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0)
                     for side, kernel in zip(x.shape[2:], weight.shape[2:]))
    x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
    return F.conv2d(x, weight.double(), stride=stride, groups=x.shape[1] // weight.shape[1])


def norm(x, t, name):
    mean, variance, weight, bias = (t[f'{name}.{key}'].double()[:, None, None] for key in
                                    ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (variance + 1e-3).sqrt() * weight + bias


def relu6(x):
    return x.clamp(0, 6)
