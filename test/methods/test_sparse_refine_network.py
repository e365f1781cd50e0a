# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The dense network on selected pixels against itself, dense, with the other pixels at zero.

In float32, as convolutions of single channels take minutes in float64 on a CPU: sums in another
order differ by some 1e-6 of the largest value, a wrong neighbour by a tenth of it.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tiny import randomise, street_image, tiny_refined_by_network
from torch.nn import functional as F

from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.methods.sparse_refine.blocks import Blocks
from sparse_seg_ros.methods.sparse_refine.cost import count_macs
from sparse_seg_ros.methods.sparse_refine.loss import refinement_loss
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.sparse_network import SparseNetwork
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks.mobilenet_edgetpu import MobileNetEdgeTPU

CLASSES = 5


def some_network(seed: int = 0) -> MobileNetEdgeTPU:
    return randomise(MobileNetEdgeTPU(CLASSES), seed).eval()


def some_extractor() -> SparseNetwork:
    """Return one whose weights are not those of the low resolution."""
    extractor = SparseNetwork(CLASSES)
    extractor.begin_as(some_network(1))
    torch.nn.init.uniform_(extractor.mix, 0.2, 0.8)
    return extractor


def some_input(low=(18, 27), batch=2, density=0.1):
    """Return an image, blocks of it, and what the dense network gives of half of it."""
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(batch, 3, *(2 * side for side in low), generator=generator)
    seeds = torch.rand(batch, 1, *low, generator=generator) < density / 9
    chosen = F.max_pool2d(seeds.float(), 3, 1, 1)[:, 0] > 0  # of 3x3 pixels each
    height, width = (-side % 16 for side in low)
    small = F.pad(F.avg_pool2d(image, 2), (0, width, 0, height), mode='replicate')
    with torch.no_grad():
        maps = some_network().encode(small)[-2:]
    return image, Blocks(chosen, tuple(image.shape[2:]), 2), maps


def literal(extractor: SparseNetwork, image, chosen, maps):
    """Return (B, C, 2h, 2w) logits, by dense layers and masks alone."""
    network, height, width = extractor.network, *chosen.shape[1:]
    encoder, (padded_h, padded_w) = network.backbone, (16 * side for side in maps[1].shape[2:])
    image = F.pad(image, (0, 2 * (padded_w - width), 0, 2 * (padded_h - height)))
    masks = [F.pad(F.max_pool2d(chosen.float(), 3, 1, 1),
                   (0, padded_w - width, 0, padded_h - height))[:, None]]
    for _ in range(2):
        masks.append(F.max_pool2d(masks[-1], 3, 2, 1))
    x = half = encoder.stem(image) * masks[0]
    for block in encoder.blocks[:4]:
        x = quarter = block(x) * masks[1]
    for block in encoder.blocks[4:8]:
        x = eighth = block(x) * masks[2]
    x = encoder.pool(encoder.blocks[8:](torch.where(masks[2] > 0, x, network.doubled(maps[0]))))
    low, mix = network.doubled(maps[1]), extractor.mix[:, None, None]
    last = (1 - mix) * low + mix * x
    y = network.laterals[0](last)
    for skip, lateral, smooth, mask in zip((eighth, quarter), network.laterals[1:],
                                           network.smooth, masks[:0:-1]):
        y = block_of(smooth, F.relu(lateral(skip) + network.doubled(y)) * mask, mask)
    y = block_of(network.join, torch.cat((network.doubled(y) * masks[0], half), 1), masks[0])
    coarse = network.coarse_head(last)
    for _ in range(3):
        coarse = network.doubled(coarse)
    logits = coarse + network.head(y)
    right, below = following(logits, masks[0], 3), following(logits, masks[0], 2)
    corner = following(below, masks[0], 3)
    pixels = torch.stack((logits, (logits + right) / 2, (logits + below) / 2,
                          (logits + right + below + corner) / 4), 2)
    return F.pixel_shuffle(pixels.flatten(1, 2), 2)[..., :2 * height, :2 * width]


def block_of(block, x, mask):
    y = block.second(F.relu(block.first(x)) * mask)
    return F.relu(block.shortcut(x) + y) * mask


def following(x, mask, axis):
    """Return the next site's values, and a site's own where that one is not active."""
    def shifted(values):
        last = values.shape[axis] - 1
        return torch.cat((values.narrow(axis, 1, last), values.narrow(axis, last, 1)), axis)
    return torch.where(shifted(mask) > 0, shifted(x), x)


def assert_near(got: torch.Tensor, want: torch.Tensor):
    largest = float(want.detach().abs().max())
    torch.testing.assert_close(got, want, rtol=0, atol=1e-4 * largest + 1e-9)


def of_pixels(said: torch.Tensor) -> torch.Tensor:
    """(C * 4, M) -> (4 * M, C), in the order of `Blocks.flat`."""
    return said.unflatten(0, (CLASSES, 4)).flatten(1).t()


@pytest.mark.parametrize('density', [0.0, 0.02, 0.3, 1.0])
def test_it_equals_the_dense_network_with_masks(density):
    extractor, (image, blocks, maps) = some_extractor(), some_input(density=density)
    if density == 1:
        blocks = Blocks(torch.ones_like(blocks.level.mask), blocks.size_hw, 2)
    said = of_pixels(extractor(image, blocks, maps))
    want = literal(extractor, image, blocks.level.mask, maps)
    want = want.movedim(1, -1).flatten(0, 2)[blocks.flat]
    assert said.shape == want.shape
    if len(want):
        assert_near(said, want)


def test_without_gradients_it_says_the_same():
    extractor, given = some_extractor(), some_input()
    want = extractor(*given).detach()
    with torch.inference_mode():
        assert_near(extractor(*given), want)


def test_where_all_is_selected_and_mixed_in_it_is_the_dense_network():
    extractor, (image, blocks, maps) = some_extractor(), some_input((32, 48))
    torch.nn.init.ones_(extractor.mix)
    blocks = Blocks(torch.ones_like(blocks.level.mask), blocks.size_hw, 2)
    want = some_network(1)(image).movedim(1, -1).flatten(0, 2)[blocks.flat]
    assert_near(of_pixels(extractor(image, blocks, maps)), want)


def test_gradients_are_those_of_the_dense_network_with_masks():
    extractor, (image, blocks, maps) = some_extractor(), some_input()
    said = of_pixels(extractor(image, blocks, maps))
    want = literal(extractor, image, blocks.level.mask, maps)
    want = want.movedim(1, -1).flatten(0, 2)[blocks.flat]
    weights = list(extractor.parameters())
    slope = torch.randn(said.shape, dtype=said.dtype)
    for got, expected in zip(torch.autograd.grad(said, weights, slope),
                             torch.autograd.grad(want, weights, slope)):
        assert_near(got, expected)


def test_images_of_a_batch_change_nothing_for_each_other():
    extractor, (image, blocks, maps) = some_extractor(), some_input()
    together = of_pixels(extractor(image, blocks, maps))
    whole = torch.zeros(image[:, 0].numel(), CLASSES)
    for index in range(2):
        one = Blocks(blocks.level.mask[index:index + 1], blocks.size_hw, 2)
        said = of_pixels(extractor(image[index:index + 1], one, [
            part[index:index + 1] for part in maps]))
        whole[one.flat + index * image[0, 0].numel()] = said.detach()
    assert_near(together, whole[blocks.flat])


def scored(model: Model, size=(64, 96), **settings):
    """Return a segmenter whose threshold is the middle of what it scores, and an image."""
    config = SparseRefineConfig(scale=model.card.scale, **settings)
    segment = assemble(model, config, 'cpu', 'fp32', {})
    image = street_image(128, 192)[:size[0], :size[1]]
    pixels = (torch.from_numpy(image).float().movedim(-1, 0)[None] - 128) / 128
    with torch.no_grad():
        middle = float(segment.method.scores(pixels).median())
    return segment.with_limits(alpha=middle), image


@pytest.mark.parametrize('size', [(64, 96), (61, 83), (17, 130), (3, 5)])
@pytest.mark.parametrize('scale', [0.5, 0.25, 0.3])
def test_images_of_any_size_and_scale(size, scale):
    segment, image = scored(tiny_refined_by_network(scale), size)
    seen = segment(image)
    assert seen.labels.shape == seen.uncertainty.shape == seen.refined.shape == size
    config = DenseConfig('dense', scale=scale)
    dense = assemble(tiny_refined_by_network(scale), config, 'cpu', 'fp32', {})
    assert (seen.labels == dense(image).labels)[~seen.refined].all()
    if min(size) > 3:
        assert 0 < seen.refined.mean() < 1
        macs = segment.method.count_macs(size, torch.from_numpy(seen.refined)[None])
        assert min(macs.values()) > 0


@pytest.mark.parametrize('budget', [0.1, 0.3])
@pytest.mark.parametrize('size, scale', [((61, 83), 0.3), ((100, 150), 0.37), ((61, 83), 0.5)])
def test_no_more_than_the_budget_is_refined(size, scale, budget):
    segment, image = scored(tiny_refined_by_network(scale), size, budget=budget)
    assert 0 < segment(image, alpha=0.0).refined.mean() <= budget


def test_an_odd_row_more_does_not_blur_the_image():
    model = tiny_refined_by_network()
    method = SparseRefine(model.network, model.refiner, 0.5)
    stripes = (torch.arange(61) % 2.0)[None, None, :, None].expand(1, 3, 61, 64)
    seen, _ = method.refiner_input(stripes, None, (30, 32))
    assert seen.shape == (1, 3, 60, 64) and set(seen.unique().tolist()) == {0.0, 1.0}


def test_scales_above_a_half_are_refused():
    model = tiny_refined_by_network()
    with pytest.raises(ValueError, match="'scale' must be at most 0.5, got 0.75"):
        SparseRefine(model.network, model.refiner, 0.75)


def test_files_keep_it(tmp_path):
    model = tiny_refined_by_network()
    save_model(model, tmp_path / 'model.safetensors')
    again = load_model(tmp_path / 'model.safetensors')
    for key, tensor in model.refiner.state_dict().items():
        assert torch.equal(again.refiner.state_dict()[key], tensor)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match='needs the network mobilenet_edgetpu, got .compact.'):
        build_model(replace(tiny_refined_by_network().card, network='compact'))


def test_an_image_of_another_size_is_refused():
    model = tiny_refined_by_network()
    method = SparseRefine(model.network, model.refiner, 0.5)
    logits, features = method.coarse(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match='must be 2 times as large as the logits'):
        model.refiner(torch.zeros(1, 3, 60, 64), logits, features=features)
    with pytest.raises(ValueError, match="maps of its dense network's encoder"):
        model.refiner(torch.zeros(1, 3, 64, 64), logits, features=replace(features, maps=()))


def test_every_weight_has_a_gradient():
    model = tiny_refined_by_network()
    randomise(model.network)
    model.refiner.extractor.begin_as(model.network)
    model.refiner.requires_grad_(True)
    method = SparseRefine(model.network, model.refiner, 0.5)
    image = torch.randn(1, 3, 64, 96)
    logits, features = method.coarse(image)
    seen = model.refiner(image, logits, nullcontext, features, Request(alpha=0.0))
    refinement_loss(seen, torch.randint(0, 11, (1, 64, 96)).to(torch.uint8)).backward()
    still = [name for name, part in model.refiner.extractor.named_parameters()
             if part.grad is None or not part.grad.any()]
    assert not still


def test_all_selected_costs_little_less_than_the_dense_network():
    """Borders have fewer pairs than a convolution that multiplies its padding."""
    model = tiny_refined_by_network()
    counted = count_macs(model.refiner, torch.ones(1, 256, 512, dtype=torch.bool))['extract']
    dense = count_network(model.network, 1.0, (256, 512))
    assert 0.97 * dense < counted <= dense


def test_a_block_selected_costs_the_dense_stage_at_stride_16():
    model, size = tiny_refined_by_network(), (256, 512)
    selected = torch.zeros(1, *size, dtype=torch.bool)
    selected[:, :2, :2] = True
    counted = count_macs(model.refiner, selected)['extract']
    assert 0 < counted < 0.3 * count_network(model.network, 1.0, size)


def test_nothing_selected_is_dense_only_and_costs_nothing(monkeypatch):
    model, size = tiny_refined_by_network(), (64, 96)
    segment, image = scored(model, size)
    dense = assemble(tiny_refined_by_network(), DenseConfig('dense', scale=0.5), 'cpu', 'fp32', {})

    def fail(*_):
        raise RuntimeError('the extractor is broken')
    monkeypatch.setattr(SparseNetwork, 'forward', fail)
    seen = segment(image, budget=0.0)
    assert not seen.refined.any() and (seen.labels == dense(image).labels).all()
    with pytest.raises(RuntimeError, match='broken'):
        segment(image)
    nothing = torch.zeros(1, *size, dtype=torch.bool)
    assert set(count_macs(model.refiner, nothing).values()) == {0}
