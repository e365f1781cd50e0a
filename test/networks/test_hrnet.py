# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""HRNet-W48 against its published size, cost and names, and against a literal computation."""

from __future__ import annotations

import hrnet_oracle as oracle
import pytest
import torch
from counting import count_macs, count_parameters, released_shapes, shapes_only
from layers_oracle import draw
from tiny import TinyHRNet

CLASSES = 5


def test_parameters_and_multiply_adds_are_as_many_as_published():
    network = shapes_only('hrnet_w48', 19)
    assert count_parameters(network) == 65_858_659
    assert count_macs(network, 512, 1024)['Global'] == pytest.approx(187, rel=0.01)


def test_names_and_shapes_are_those_of_mmsegmentation():
    published = oracle.published_shapes((48, 96, 192, 384), 19)
    assert released_shapes(shapes_only('hrnet_w48', 19)) == published
    assert len(published) == 1838
    for name, shape in {
            'backbone.conv1.weight': (64, 3, 3, 3),
            'backbone.layer1.0.downsample.0.weight': (256, 64, 1, 1),
            'backbone.transition1.0.0.weight': (48, 256, 3, 3),
            'backbone.transition2.2.0.0.weight': (192, 96, 3, 3),
            'backbone.stage2.0.branches.0.0.conv1.weight': (48, 48, 3, 3),
            'backbone.stage4.2.fuse_layers.3.0.2.0.weight': (384, 48, 3, 3),
            'backbone.stage4.2.fuse_layers.0.3.1.num_batches_tracked': (),
            'decode_head.convs.0.conv.weight': (720, 720, 1, 1),
            'decode_head.convs.0.bn.running_var': (720,),
            'decode_head.conv_seg.weight': (19, 720, 1, 1)}.items():
        assert published[name] == shape, name


@torch.inference_mode()
def test_forward_equals_a_literal_computation():
    network = TinyHRNet(CLASSES).double().eval()
    weights = draw(oracle.published_shapes(TinyHRNet.widths, CLASSES))
    network.load_state_dict(weights)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    streams = network.backbone(images)
    logits = network.decode_head(streams)
    expected_streams, expected = oracle.hrnet(images, weights)
    assert logits.shape == (2, CLASSES, 16, 24) and logits.std() > 0.1
    for got, want in zip((*streams, logits), (*expected_streams, expected), strict=True):
        torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-12)


def test_every_parameter_learns():
    network = TinyHRNet(CLASSES).train()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    network(images).square().mean().backward()
    assert [name for name, parameter in network.named_parameters()
            if parameter.grad is None or not parameter.grad.isfinite().all()] == []
