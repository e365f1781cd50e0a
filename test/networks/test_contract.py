# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every network promises, tried on all of them."""

from __future__ import annotations

import re

import pytest
import torch
from tiny import TinyHRNet, TinyLRFormer, TinySegFormer, TinySegmenter, TinySegNeXt
from torch import nn
from torch.nn import functional as F

from sparse_seg_ros.networks import CLASSIFIERS, NETWORKS, build_network, run_padded
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.efficientnet_lite import EfficientNetLite0

CLASSES = 5
QUICK = {'compact': Compact, 'efficientnet_lite0': EfficientNetLite0,  # to compute
         'hrnet': TinyHRNet, 'lrformer': TinyLRFormer, 'segformer': TinySegFormer,
         'segmenter': TinySegmenter, 'segnext': TinySegNeXt}


@pytest.fixture(name='network', params=QUICK.values(), ids=QUICK)
def each_network(request):
    if request.param is TinySegFormer:
        pytest.importorskip('transformers')
    torch.manual_seed(0)
    return request.param(CLASSES).eval()


def random_images(batch, height, width):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', NETWORKS | CLASSIFIERS)
def test_a_network_declares_how_it_wants_its_images(name):
    kind = (NETWORKS | CLASSIFIERS)[name]
    assert name in CLASSIFIERS or kind.multiple % kind.stride == 0
    assert len(kind.mean) == len(kind.std) == 3 and min(kind.std) > 1


@pytest.mark.parametrize('name', NETWORKS)
def test_logits_have_the_size_of_the_image_divided_by_the_stride(name):
    if name.startswith(('segformer', 'mask2former')) or 'plus' in name:
        pytest.importorskip('transformers')
    with torch.device('meta'):
        network = build_network(name, 19).eval().to('meta')  # some of Mask2Former's is not
        images, odd_images = torch.empty(2, 3, 64, 96), torch.empty(1, 3, 37, 1)
    assert network(images).shape == (2, 19, 64 // network.stride, 96 // network.stride)
    assert run_padded(network, odd_images).shape == (1, 19, 37, 1)


@torch.inference_mode()
def test_padding_repeats_the_border_and_is_cut_off_again(network):
    images = random_images(1, 61, 70)
    down, right = -61 % network.multiple, -70 % network.multiple
    padded = F.pad(images, (0, right, 0, down), mode='replicate')
    logits = network(padded)
    if network.stride > 1:
        logits = F.interpolate(logits, scale_factor=network.stride, mode='bilinear')
    assert torch.equal(run_padded(network, images), logits[..., :61, :70])


@torch.inference_mode()
def test_an_image_is_seen_the_same_in_any_company(network):
    images, network = random_images(3, 64, 96).double(), network.double()
    together, alone = network(images), network(images[1:2])
    torch.testing.assert_close(together[1:2], alone)


class Mosaic(nn.Module):
    """Averages its images in squares."""

    multiple = 16

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, images):
        self.seen = images
        return F.avg_pool2d(images, self.stride) if self.stride > 1 else images


def test_enlarged_logits_lie_where_their_pixels_lay():
    columns = torch.arange(93.0).expand(1, 3, 61, 93)
    rows = torch.arange(61.0)[:, None].expand(1, 3, 61, 93)
    for ramp in (columns, rows):
        logits = run_padded(Mosaic(stride=8), ramp)
        inside = (..., slice(4, -16), slice(4, -16))  # the padded border is flat
        torch.testing.assert_close(logits[inside], ramp[inside])


def test_nothing_is_copied_where_nothing_is_padded_or_enlarged():
    network, images = Mosaic(stride=1), random_images(1, 32, 48)
    assert run_padded(network, images).data_ptr() == images.data_ptr()
    assert network.seen is images


@pytest.mark.parametrize('shape', [(1, 3, 0, 32), (1, 3, 32, 0), (0, 3, 32, 32), (3, 32, 32),
                                   (1, 4, 32, 32)], ids=str)
def test_images_of_another_shape_are_refused(network, shape):
    with pytest.raises(ValueError, match=r'images must be \(B, 3, H, W\) with at least one pixel'):
        run_padded(network, torch.zeros(shape))


@pytest.mark.parametrize('kind', [TinyHRNet, TinyLRFormer, TinySegNeXt])
@pytest.mark.parametrize('shape', [(1, 3, 0, 64), (1, 4, 64, 64)], ids=str)
def test_images_that_do_not_fit_are_refused_by_the_network_itself(kind, shape):
    with pytest.raises(ValueError, match=re.escape(f'at least one pixel, got {shape}')):
        kind(CLASSES)(torch.zeros(shape))


def test_an_unknown_network_and_too_few_classes_are_refused():
    with pytest.raises(ValueError, match="unknown network 'lrformer-t'; did you mean 'lrformer_t"):
        build_network('lrformer-t', 19)
    with pytest.raises(ValueError, match='num_classes must be at least 2, got 1'):
        build_network('lrformer_t', 1)
    with pytest.raises(ValueError, match="'lrformer_m_classifier'; did you mean 'lrformer_t_clas"):
        build_network('lrformer_m_classifier', 10)
