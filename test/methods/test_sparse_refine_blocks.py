# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The U-Net over blocks against a dense convolution over the space-to-depth image."""

from __future__ import annotations

from dataclasses import replace

import dense_oracle
import pytest
import torch
from tiny import street_image, tiny_model
from torch.nn import functional as F

from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.methods.sparse_refine.blocks import Axis, Blocks
from sparse_seg_ros.methods.sparse_refine.cost import count_macs
from sparse_seg_ros.methods.sparse_refine.ensembler import SigmoidEnsembler
from sparse_seg_ros.methods.sparse_refine.loss import refinement_loss
from sparse_seg_ros.methods.sparse_refine.parts import ENSEMBLERS, Parts
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner

CLASSES, PLANES = 5, (4, 6, 8)
INPUTS = [('rgb',), ('rgb', 'logits')]


def some_refiner(side: int, inputs=('rgb', 'logits'), extractor='blocks') -> SparseRefiner:
    """Return a refiner in float64 that has left the identity it starts from."""
    torch.manual_seed(0)
    refiner = SparseRefiner(CLASSES, PLANES, 0.8, inputs,
                            parts=Parts(extractor=extractor, side=side)).double().eval()
    with torch.no_grad():
        for parameter in (*refiner.head.parameters(), *refiner.ensembler.parameters()):
            parameter.normal_(std=0.3)
    return refiner


def some_input(low=(14, 19), side=2, batch=2, extra=(0, 0)):
    """Return images of side times the low resolution, and some more pixels, and logits."""
    generator = torch.Generator().manual_seed(1)
    size = [side * part + more for part, more in zip(low, extra)]
    return (torch.randn(batch, 3, *size, generator=generator).double(),
            3 * torch.randn(batch, CLASSES, *low, generator=generator).double())


def literal(refiner: SparseRefiner, image, logits):
    """Return (B, C, H, W) what the refiner must say, by a dense convolution of the blocks."""
    side = refiner.parts.side
    entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
    mask = (entropy > refiner.alpha)[:, None].double()
    blocks = image.unflatten(2, (-1, side)).unflatten(4, (-1, side))  # (B, 3, h, s, w, s)
    x = blocks.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)  # (B, s * s * 3, h, w)
    if 'logits' in refiner.inputs:
        x = torch.cat((x, logits.softmax(1)), 1)
    x = dense_oracle.extract(x * mask, mask, refiner.extractor)
    said = F.conv2d(x, refiner.head.weight[..., None, None], refiner.head.bias)
    said = F.pixel_shuffle(said, side)  # (B, C, H, W)
    if 'logits' in refiner.inputs:
        said = said + F.interpolate(logits, scale_factor=side, mode='nearest')
    return said, F.interpolate(mask, scale_factor=side, mode='nearest')[:, 0].bool()


@pytest.mark.parametrize('inputs', INPUTS, ids='-'.join)
@pytest.mark.parametrize('side', [1, 2, 3, 4])
def test_it_equals_dense_convolution_over_the_space_to_depth_image(side, inputs):
    refiner, (image, logits) = some_refiner(side, inputs), some_input(side=side)
    seen, (want, mask) = refiner(image, logits), literal(refiner, image, logits)
    assert torch.equal(seen.selected, mask) and 0.1 < mask.double().mean() < 0.9
    torch.testing.assert_close(seen.refined, want.movedim(1, -1).flatten(0, 2)[seen.flat])
    assert torch.equal(seen.flat.sort().values, mask.flatten().nonzero()[:, 0])


@pytest.mark.parametrize('inputs', INPUTS, ids='-'.join)
def test_blocks_of_one_pixel_are_the_pixel_network(inputs):
    blocks, pixels = some_refiner(1, inputs), some_refiner(1, inputs, 'unet')
    pixels.load_state_dict(blocks.state_dict())
    image, logits = some_input(side=1)
    assert torch.equal(blocks(image, logits).ensembled, pixels(image, logits).ensembled)


@pytest.mark.parametrize('alpha', [0.0, 1.6])
def test_all_and_nothing_can_be_selected(alpha):
    refiner, (image, logits) = some_refiner(2), some_input()
    seen = refiner(image, logits, request=Request(alpha))
    assert len(seen.refined) == (image[:, 0].numel() if alpha == 0 else 0)
    assert seen.full().shape == (2, CLASSES, *image.shape[2:])


def test_batch_mates_change_nothing():
    refiner, (image, logits) = some_refiner(2), some_input()
    alone = [refiner(image[i:i + 1], logits[i:i + 1]).full() for i in range(2)]
    torch.testing.assert_close(refiner(image, logits).full(), torch.cat(alone))


@pytest.mark.parametrize('low, full', [(9, 18), (18, 37), (19, 37), (7, 15), (5, 14), (6, 6),
                                       (8, 13)])
def test_every_row_is_a_member_of_its_block_or_close_to_one(low, full):
    axis, rows = Axis.of(low, full, torch.device('cpu')), torch.arange(full)
    want = F.interpolate(torch.arange(low)[None, None].double(), full, mode='nearest').flatten()
    assert torch.equal(axis.sources.double(), want)
    for side in (1, 2, 3):
        members = axis.members(torch.arange(low), side)
        assert (axis.sources[members] == torch.arange(low)[:, None]).all()
        off = rows - members[axis.sources, axis.places(rows, side)]
        counts = axis.counts[axis.sources]
        assert off.min() >= 0 and (off * side < counts).all()  # none off where members suffice
        assert off[counts <= side].eq(0).all()


def are_members(blocks: Blocks) -> torch.Tensor:
    """Return (N,) bool, where a pixel stands for itself in its block and not for another one."""
    axes = []
    for axis, full in zip(blocks.axes, blocks.size_hw):
        members = axis.members(torch.arange(len(axis.counts)), blocks.side)
        rows = torch.arange(full)
        axes.append(members[axis.sources, axis.places(rows, blocks.side)] == rows)
    return (axes[0][:, None] & axes[1]).expand(2, -1, -1).flatten()[blocks.flat]


@pytest.mark.parametrize('extra', [(0, 0), (1, 0), (1, 1)])
def test_gathering_and_spreading_undo_each_other(extra):
    image, logits = some_input(extra=extra)
    chosen = torch.rand(2, 14, 19, generator=torch.Generator().manual_seed(2)) < 0.4
    blocks = Blocks(chosen, tuple(image.shape[2:]), 2)
    blocks_first = blocks.gather(image).unflatten(1, (4, 3)).transpose(1, 2).flatten(1).t()
    back, coarse = blocks.spread(blocks_first, logits.movedim(1, -1)[chosen].t())
    want = image.movedim(1, -1).flatten(0, 2)[blocks.flat]
    same = (back.flatten(1).t() == want).all(1)
    assert torch.equal(same, are_members(blocks)) and same.double().mean() > 0.7
    full = F.interpolate(logits, image.shape[2:], mode='nearest').movedim(1, -1).flatten(0, 2)
    assert torch.equal(coarse[:, None].expand(-1, back.shape[1], -1).flatten(1).t(),
                       full[blocks.flat])


@pytest.mark.parametrize('extra', [(0, 0), (1, 1)])
@pytest.mark.parametrize('ensembler', ENSEMBLERS)
def test_pixels_of_whole_and_of_odd_blocks_are_ensembled_alike(ensembler, extra):
    refiner = some_refiner(2)
    if ensembler == 'sigmoid':  # has weights of its own
        refiner.ensembler = SigmoidEnsembler(CLASSES).double().eval()
    else:
        refiner = refiner.with_parts(ensembler=ensembler)
    image, logits = some_input(extra=extra)
    labels = torch.randint(CLASSES, (2, *image.shape[2:]))
    whole = refiner(image, logits, request=Request(truth=labels))
    coarse = F.interpolate(logits, image.shape[2:], mode='nearest').movedim(1, -1).flatten(0, 2)
    want = refiner.ensembler(coarse[whole.flat], whole.refined, labels.flatten()[whole.flat])
    torch.testing.assert_close(whole.ensembled, want)


@pytest.mark.parametrize('extra', [(0, 0), (-1, -1)])
def test_a_block_is_refined_where_an_oracle_wants_one_of_its_pixels(extra):
    refiner, (image, logits) = some_refiner(2).with_parts('oracle'), some_input(extra=extra)
    size = image.shape[2:]
    labels = F.interpolate(logits.argmax(1)[:, None].double(), size)[:, 0].byte()
    labels[1, 5, 8] = (labels[1, 5, 8] + 1) % CLASSES
    block = F.interpolate(torch.arange(14 * 19).view(1, 1, 14, 19).double(), size)[0, 0]
    want = torch.zeros(2, *size, dtype=torch.bool)
    want[1] = block == block[5, 8]
    request = Request(0.5, truth=labels)
    assert torch.equal(refiner(image, logits, request=request).selected, want)


def test_a_budget_of_blocks_holds_for_scores_of_pixels():
    refiner, (image, logits) = some_refiner(2).with_parts('oracle'), some_input()
    labels = F.interpolate(logits.argmax(1)[:, None].double(), scale_factor=2)[:, 0].byte()
    labels[:, ::2, ::2] = (labels[:, ::2, ::2] + 1) % CLASSES  # one in every block
    selected = refiner(image, logits, request=Request(0.5, 0.05, truth=labels)).selected
    assert 0.04 < selected.double().mean() <= 0.05


@pytest.mark.parametrize('extra', [(0, 0), (1, 1)])
def test_it_learns_at_any_size(extra):
    refiner, (image, logits) = some_refiner(2).train(), some_input(extra=extra)
    labels = torch.randint(CLASSES, (2, *image.shape[2:]), dtype=torch.uint8)
    refinement_loss(refiner(image, logits), labels).backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0
               for parameter in (*refiner.head.parameters(), refiner.extractor.stem.kernel))


def test_multiply_accumulates_are_those_of_the_blocks():
    refiner, (image, logits) = some_refiner(2), some_input()
    counted = count_macs(refiner, refiner(image, logits, request=Request(0.0)).selected)
    pixels = some_refiner(1)
    low = count_macs(pixels, pixels(*some_input(side=1), request=Request(0.0)).selected)
    sites, more_inputs, more_outputs = 2 * 14 * 19, 9, 3 * CLASSES
    coarse_gate = 64 * (CLASSES + 1)
    assert counted['ensemble'] == 4 * low['ensemble'] - 3 * coarse_gate * sites
    stem = sum(min(y, 1) + min(13 - y, 1) + 1 for y in range(14)) * \
        sum(min(x, 1) + min(18 - x, 1) + 1 for x in range(19)) * 2
    assert counted['extract'] - low['extract'] == \
        stem * more_inputs * PLANES[0] + sites * more_outputs * PLANES[0]


def test_side_follows_from_the_scale_of_a_model_and_survives_its_file(tmp_path):
    card = replace(tiny_model().card, extractor='blocks', scale=0.25, planes=(4, 8))
    model = build_model(card)
    assert model.refiner.parts.side == 4
    save_model(model, tmp_path / 'blocks.safetensors')
    again = load_model(tmp_path / 'blocks.safetensors')
    segment = assemble(again, SparseRefineConfig(scale=0.25), 'cpu', 'fp32', {})
    seen = segment(street_image(67, 90))
    assert seen.labels.shape == (67, 90) and seen.refined.any()
    with pytest.raises(ValueError, match='needs a scale of 1/2, 1/3, 1/4 and so on, got 0.4'):
        build_model(replace(card, scale=0.4))
    with pytest.raises(ValueError, match='side must be at least 1, and 1 for extractors other'):
        Parts(side=2)
