# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of a refiner by name: inputs, extractors and ensemblers of SparseRefine's Table 5."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig, pointnet
from sparse_seg_ros.methods.sparse_refine.cost import count_macs
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.loss import refinement_loss
from sparse_seg_ros.methods.sparse_refine.parts import (
    ENSEMBLERS,
    EXTRACTORS,
    INPUTS,
    SELECTORS,
    Parts,
)
from sparse_seg_ros.methods.sparse_refine.plain_ensemblers import Direct, LowerEntropy, Oracle
from sparse_seg_ros.methods.sparse_refine.pointnet import PointNet
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.networks.features import Features
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor
from sparse_seg_ros.training.config import TrainConfig

CLASSES = 5
TRAINABLE = [name for name in ENSEMBLERS if name != 'oracle']
AT_RANDOM = [name for name in EXTRACTORS if name != 'network']  # where these begin


def some_refiner(inputs=('rgb',), **parts) -> SparseRefiner:
    torch.manual_seed(0)
    return SparseRefiner(CLASSES, (4, 8), 0.8, inputs, parts=Parts(feature_channels=7, **parts))


def some_input() -> dict[str, torch.Tensor | Features]:
    generator = torch.Generator().manual_seed(1)
    features = Features(torch.randn(2, 7, 5, 8, generator=generator), torch.arange(10) // 2,
                        torch.arange(16) // 2)
    return {'image': torch.randn(2, 3, 20, 32, generator=generator),
            'logits': 3 * torch.randn(2, CLASSES, 10, 16, generator=generator),
            'features': features}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(('inputs', 'extractor', 'ensembler'),
                         list(itertools.product(INPUTS, AT_RANDOM, TRAINABLE)))
def test_an_untrained_refiner_of_any_parts_changes_no_label_and_can_learn(
        inputs, extractor, ensembler):
    refiner = some_refiner(inputs, extractor=extractor, ensembler=ensembler)
    seen = refiner(**some_input())
    assert 0 < len(seen.flat) < seen.selected.numel()
    assert torch.equal(seen.ensembled.argmax(1), seen.coarse.argmax(1))
    refinement_loss(seen, torch.ones(2, 20, 32)).backward()
    assert refiner.head.bias.grad.abs().max() > 0


@pytest.mark.parametrize('inputs', INPUTS, ids=str)
def test_the_extractor_is_given_the_inputs_in_order(inputs):
    refiner, scene = some_refiner(inputs), some_input()
    given = []
    refiner.extractor.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    seen = refiner(**scene)
    batch, y, x = seen.selected.nonzero().unbind(1)
    want = {'rgb': scene['image'][batch, :, y, x],
            'logits': scene['logits'].softmax(1)[batch, :, y // 2, x // 2],
            'features': scene['features'].values[batch, :, y // 4, x // 4]}
    torch.testing.assert_close(given[0].features, torch.cat([want[name] for name in inputs], 1))


@pytest.mark.parametrize(('planes', 'parameters'), [
    ((32, 64, 128, 256), 4_932_520),
    (tuple(32 * width for width in (1, 2, 4, 8, 12, 16, 24, 32)), 155.3e6),
])
def test_other_numbers_of_stages_have_the_published_size(planes, parameters):
    with torch.device('meta'):
        refiner = SparseRefiner(19, planes)
    assert count(refiner) == pytest.approx(parameters, abs=0.05e6 if parameters > 1e8 else 0)


def test_pointnet_is_its_formula():
    torch.manual_seed(0)
    net = PointNet(3, (4, 6, 16)).double().eval()
    mask = torch.rand(3, 9, 8) < 0.4
    mask[1] = False  # nothing selected in this one
    pixels = torch.randn(int(mask.sum()), 3, dtype=torch.float64)
    got = net(SparseTensor(pixels, Level(mask))).features
    rows, want = 0, []
    for image in mask:
        own = pixels[rows:rows + int(image.sum())]
        rows += len(own)
        if len(own):
            local = layers(own, net.local)
            largest = layers(local, net.whole).max(0).values
            both = torch.cat((local, largest.expand(len(own), -1)), 1)
            kernel = torch.cat((net.join_local.kernel, net.join_whole.kernel))
            want.append(layers(norm_relu(both @ kernel, net.norm), net.tail))
    torch.testing.assert_close(got, torch.cat(want))


def layers(x, perceptron):
    for linear, norm in zip(perceptron[::2], perceptron[1::2]):
        x = norm_relu(x @ linear.kernel, norm)
    return x


def norm_relu(x, norm):
    return nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias,
                                    eps=norm.eps).relu()


def test_pointnet_has_the_size_it_states():
    with torch.device('meta'):
        net = PointNet()
    linear = 3 * 64 + 64 * 64 + 64 * 64 + 64 * 128 + 128 * 1024 + (64 + 1024) * 512 \
        + 512 * 256 + 256 * 128
    norms = 2 * (64 + 64 + 64 + 128 + 1024 + 512 + 256 + 128)
    assert count(net) == linear + norms
    assert f'{count(net):,} parameters' in pointnet.__doc__


def test_macs_of_pointnet_and_of_an_ensembler_without_weights():
    refiner = some_refiner(extractor='pointnet', ensembler='direct')
    one = torch.zeros(1, 9, 9, dtype=torch.bool)
    one[0, 3, 4] = True
    matrices = sum(p.numel() for p in refiner.extractor.parameters() if p.ndim == 2)
    head = refiner.head.weight.numel()
    assert count_macs(refiner, one) == {'extract': matrices + head, 'ensemble': 0}


def test_ensemblers_without_weights_let_one_prediction_win():
    coarse = torch.tensor([[9.0, 0, 0], [1, 0, 0], [1, 0, 0], [2, 2, 2]])
    refined = torch.tensor([[0.0, 1, 0], [0, 9, 0], [0, 0, 5], [2, 2, 2]])
    targets = torch.tensor([1, 0, 255, 0])
    assert torch.equal(Direct()(coarse, refined), refined)
    assert torch.equal(LowerEntropy()(coarse, refined),
                       torch.stack((coarse[0], refined[1], refined[2], coarse[3])))
    assert torch.equal(Oracle()(coarse, refined, targets),
                       torch.stack((refined[0], coarse[1], coarse[2], refined[3])))


def test_a_trained_refiner_takes_other_parts_without_weights():
    refiner, scene = some_refiner(), some_input()
    nn.init.normal_(refiner.head.weight)
    refiner.eval()
    twin = refiner.with_parts(ensembler='direct')
    assert torch.equal(twin(**scene).ensembled, refiner(**scene).refined)
    assert refiner.with_parts(None, 'gated') is refiner and refiner.parts.ensembler == 'gated'
    with pytest.raises(ValueError, match="selector 'learnable' has weights of its own, and these "
                                         "were trained with 'entropy'; train a refiner with it"):
        refiner.with_parts('learnable')


def test_unknown_parts_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match='selector must be one of entropy, random, magnitude, '
                                         "learnable, oracle; got 'entrpy'; did you mean 'entropy"):
        Parts('entrpy')
    with pytest.raises(ValueError, match='extractor must be one of unet, blocks, pointnet, '
                                         'network; got'):
        Parts(extractor='cnn')
    with pytest.raises(ValueError, match='ensembler must be one of gated, sigmoid, direct'):
        Parts(ensembler='gate')


def test_settings_know_the_same_names():
    for selector in SELECTORS:
        assert SparseRefineConfig(selector=selector).selector == selector
    for ensembler in ENSEMBLERS:
        assert SparseRefineConfig(ensembler=ensembler).ensembler == ensembler
    for name in EXTRACTORS:
        assert TrainConfig(extractor=name).extractor == name
    with pytest.raises(ValueError, match="'extractor' must be one of unet, blocks, pointnet"):
        TrainConfig(extractor='cnn')


def test_what_a_part_needs_and_was_not_given_is_named():
    scene = some_input()
    without = {'image': scene['image'], 'logits': scene['logits']}
    with pytest.raises(ValueError, match="this refiner needs the network's last features"):
        some_refiner(('rgb', 'features'))(**without)
    with pytest.raises(ValueError, match='an oracle needs the labels of the image'):
        some_refiner(ensembler='oracle')(**without)


@pytest.mark.parametrize(('alpha', 'selector', 'most'), [(1.7, 'entropy', '1.61'),
                                                         (-0.1, 'entropy', '1.61'),
                                                         (1.2, 'random', '1')])
def test_alpha_outside_its_range_is_refused(alpha, selector, most):
    with pytest.raises(ValueError, match=f"alpha must be from 0 to {most} for selector '{selector}"
                                         f"' and 5 classes, got {alpha}"):
        SparseRefiner(CLASSES, (4, 8), alpha, parts=Parts(selector))


def test_a_folded_refiner_computes_the_same():
    refiner, scene = some_refiner().double().eval(), some_input()
    for name, buffer in refiner.named_buffers():
        if 'running' in name:
            nn.init.uniform_(buffer, 0.5, 2)
    nn.init.normal_(refiner.head.weight)
    scene = [scene[name].double() for name in ('image', 'logits')]
    with torch.inference_mode():
        want, got = refiner(*scene), folded(refiner)(*scene)
    assert len(want.flat) > 0
    torch.testing.assert_close(got.ensembled, want.ensembled, atol=1e-9, rtol=0)
    assert 'extractor.stages.encode.0.norm2.running_var' in refiner.state_dict()
