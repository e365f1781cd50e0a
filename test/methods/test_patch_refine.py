# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PatchRefine: which patches are chosen, where their pixels are, and what becomes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny import demo_and_street, tiny_model

from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.methods.patch_refine.loss import patch_loss
from sparse_seg_ros.methods.patch_refine.method import PatchRefine
from sparse_seg_ros.methods.patch_refine.patches import Patches, mean_per_patch
from sparse_seg_ros.methods.patch_refine.refiner import PatchRefiner
from sparse_seg_ros.methods.patch_refine.unet import UNet
from sparse_seg_ros.methods.request import DEFAULTS, Request
from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.timing import Stopwatch

SIZES_HW = [(32, 48), (37, 50), (5, 9), (16, 17)]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def corners(size_hw, side):
    return [(y, x) for y in range(0, size_hw[0], side) for x in range(0, size_hw[1], side)]


def patch_method(side=16, alpha=2.0, scale=0.5):
    model = tiny_model(refined_by='patch_refine', patch=side, alpha=alpha)
    torch.nn.init.normal_(model.refiner.head.weight)  # an untrained head says nothing
    return PatchRefine(model.network, model.refiner, scale)


@pytest.mark.parametrize('size_hw', SIZES_HW)
def test_the_mean_of_a_patch_is_over_what_is_inside_the_image(size_hw):
    values = random(2, *size_hw)
    means = mean_per_patch(values, 16)
    expected = [[image[y:y + 16, x:x + 16].mean() for y, x in corners(size_hw, 16)]
                for image in values.numpy()]
    np.testing.assert_allclose(means.flatten(1), expected, atol=1e-5)


@pytest.mark.parametrize('size_hw', SIZES_HW)
@pytest.mark.parametrize('low_hw', [None, (11, 13)])
def test_patches_are_cut_out_with_the_border_repeated(size_hw, low_hw):
    values = random(2, 3, *(low_hw or size_hw))
    chosen = torch.rand(2, -(-size_hw[0] // 16), -(-size_hw[1] // 16),
                        generator=torch.Generator().manual_seed(1)) < 0.6
    chosen[1, -1, -1] = True
    patches = Patches.of(chosen, 16, size_hw)
    full = torch.nn.functional.interpolate(values, size_hw, mode='nearest').numpy()
    padded = np.pad(full, ((0, 0), (0, 0), (0, 16), (0, 16)), 'edge')
    expected = [padded[image, :, y:y + 16, x:x + 16] for image in range(2)
                for index, (y, x) in enumerate(corners(size_hw, 16))
                if chosen[image].flatten()[index]]
    np.testing.assert_array_equal(patches.cut(values), expected)


@pytest.mark.parametrize('size_hw', SIZES_HW)
def test_every_pixel_of_the_image_is_in_one_patch(size_hw):
    chosen = torch.ones(2, -(-size_hw[0] // 16), -(-size_hw[1] // 16), dtype=torch.bool)
    positions = Patches.of(chosen, 16, size_hw).positions()
    assert torch.equal(positions.sort().values, torch.arange(2 * math.prod(size_hw)))


def unsure_in(corner_list, size_hw=(64, 96), classes=11, sharpness=(0.0,)):
    """Logits that are sure of class 0 but for 16x16 squares, each as sharp as told."""
    logits = torch.zeros(1, classes, *size_hw)
    logits[:, 0] = 20
    for (y, x), sharp in zip(corner_list, sharpness * len(corner_list)):
        logits[:, 0, y:y + 16, x:x + 16] = sharp
    return logits


def chosen_patches(logits, alpha=0.5, budget=1.0, side=16, scale_to=None):
    refiner = PatchRefiner(11, (4, 8), 0.0, ('rgb', 'logits'), side)
    size_hw = scale_to or tuple(logits.shape[2:])
    found = refiner.choose(logits, size_hw, Request(alpha, budget))[0][0].nonzero() * side
    return [tuple(corner) for corner in found.tolist()]


def test_patches_above_the_threshold_are_chosen_and_no_others():
    squares = [(0, 0), (16, 80), (48, 32)]
    assert chosen_patches(unsure_in(squares)) == squares
    assert chosen_patches(unsure_in(squares), alpha=2.398) == []  # ln 11 is not exceeded


def test_an_unsure_square_across_four_patches_counts_for_each_by_its_share():
    logits = unsure_in([(8, 8)])  # a quarter of each, so a mean of ln 11 / 4 = 0.6 nats
    assert chosen_patches(logits, alpha=0.59) == [(0, 0), (0, 16), (16, 0), (16, 16)]
    assert chosen_patches(logits, alpha=0.61) == []


def test_a_budget_keeps_the_most_unsure_patches():
    squares = [(0, 0), (16, 80), (48, 32)]
    logits = unsure_in(squares)
    logits[:, 0, 16:32, 80:96], logits[:, 0, :16, :16] = 0.5, 1.0
    assert chosen_patches(logits, budget=2.01 / 24) == [(16, 80), (48, 32)]
    assert chosen_patches(logits, budget=1.9 / 24) == [(48, 32)]
    assert chosen_patches(logits, budget=0.0) == []


def test_patches_are_chosen_on_the_full_size_grid():
    logits = unsure_in([(16, 16)], size_hw=(32, 48))
    assert chosen_patches(logits, scale_to=(64, 96)) == [
        (y, x) for y in (32, 48) for x in (32, 48)]


@pytest.mark.parametrize('size_hw', [(5, 9), (20, 30)])
@torch.inference_mode()
def test_an_image_smaller_than_a_patch_is_one_patch(size_hw):
    output = patch_method(side=32, alpha=0.0)(random(1, 3, *size_hw), DEFAULTS, Stopwatch())
    assert output.refined.all() and output.labels.shape == (1, *size_hw)


@torch.inference_mode()
def test_a_patch_is_refined_by_itself_and_the_rest_stays_dense():
    method, images = patch_method(alpha=0.0), random(1, 3, 32, 48)
    dense = Dense(method.network, 0.5)(images, DEFAULTS, Stopwatch())
    nats = (dense.uncertainty * math.log(11))
    means = mean_per_patch(nats, 16)
    alpha = means.median().item()
    output = method(images, Request(alpha), Stopwatch())
    expected_mask = (means > alpha).repeat_interleave(16, 1).repeat_interleave(16, 2)
    assert torch.equal(output.refined, expected_mask)
    assert torch.equal(output.labels[~output.refined], dense.labels[~output.refined])
    y, x = ((means > alpha)[0].nonzero()[0] * 16).tolist()
    coarse = torch.nn.functional.interpolate(method.coarse_logits(images), (32, 48))
    inside = ..., slice(y, y + 16), slice(x, x + 16)
    rough = coarse[inside]
    said = rough + method.refiner.head(method.refiner.unet(
        torch.cat((images[inside], rough.softmax(1)), 1)))
    pixels = [part[0].flatten(1).t() for part in (rough, said)]
    expected = method.refiner.ensembler(*pixels).argmax(1).view(16, 16)
    assert torch.equal(output.labels[0][inside], expected.to(torch.uint8))


@torch.inference_mode()
def test_a_pixel_is_refined_where_its_score_is_above_the_threshold():
    method, images = patch_method(alpha=2.2), random(2, 3, 37, 50)
    scores = method.scores(images)
    alpha = scores.median().item()
    refined = method(images, Request(alpha), Stopwatch()).refined
    assert 0 < refined.sum() < refined.numel() and torch.equal(refined, scores > alpha)
    assert scores.max() <= method.limits()['alpha'].most


@torch.inference_mode()
def test_labels_are_those_of_the_full_logits():
    method, images = patch_method(alpha=2.2), random(2, 3, 37, 50)
    output = method(images, DEFAULTS, Stopwatch())
    assert torch.equal(output.labels, method.full_logits(images).argmax(1).to(torch.uint8))


@torch.inference_mode()
def test_an_untrained_patch_refine_gives_the_dense_labels():
    model, images, _ = demo_and_street()
    for inputs in (('rgb',), ('rgb', 'logits')):
        refiner = PatchRefiner(11, (4, 8), 0.0, inputs, 64).eval()
        output = PatchRefine(model.network, refiner, 0.5)(images, DEFAULTS, Stopwatch())
        dense = Dense(model.network, 0.5)(images, DEFAULTS, Stopwatch())
        assert output.refined.all()
        assert (output.labels != dense.labels).float().mean() < 1e-3  # equals but for rounding


@pytest.mark.parametrize('planes', [(8,), (8, 16, 24)])
def test_the_network_of_a_patch_has_the_layers_of_the_extractor(planes):
    twin, extractor = UNet(5, planes), Extractor(5, planes)
    assert sum(p.numel() for p in twin.parameters()) == \
        sum(p.numel() for p in extractor.parameters())
    assert twin(random(2, 5, 16, 16)).shape == (2, planes[0], 16, 16)


def test_multiply_accumulates_are_those_of_the_chosen_patches():
    method = patch_method(alpha=0.0)
    refined = torch.zeros(1, 37, 50, dtype=torch.bool)
    refined[:, :16, 16:32] = refined[:, 32:, 48:] = True
    counted = method.count_macs((37, 50), refined)
    here = 14 * 4 * 9 + 4 * 4 * 9 * 4 + (8 * 4 * 9 + 4 * 4 * 9 + 8 * 4) + 4 * 4 * 9 * 2
    there = 4 * 8 * 9 + 8 * 8 * 9 * 4 + 8 * 4 * 9  # strided down, coarse stage, up
    per_patch = 256 * (here + 4 * 11) + 64 * there
    assert counted['extract'] == 2 * per_patch
    assert counted['ensemble'] == (256 + 5 * 2) * (24 * 64 + 64 * 2 + 11 * 64 * 2)
    assert counted['dense'] == count_module(method.network, 1, 3, 32, 32)


def test_the_loss_is_over_the_pixels_of_the_chosen_patches():
    method, images = patch_method(alpha=2.2), random(1, 3, 37, 50)
    logits = method.coarse_logits(images)
    labels = torch.randint(0, 11, (1, 37, 50), generator=torch.Generator().manual_seed(0))
    labels[:, :5] = 255
    seen = method.refiner(images, logits)
    known = seen.selected & (labels != 255)
    assert 0 < known.sum() < seen.selected.sum()
    order = seen.positions.argsort()  # the loss must not depend on the order of the pixels
    row_by_row = [said.index_select(0, order)[labels[seen.selected] != 255].log_softmax(1)
                  for said in (seen.refined, seen.ensembled)]
    expected = sum(-said.gather(1, labels[known][:, None]).mean() for said in row_by_row)
    torch.testing.assert_close(patch_loss(seen, labels.to(torch.uint8)), expected)


def test_patches_and_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='patch must be a multiple of 4 pixels for 3 planes, got'):
        PatchRefiner(11, (4, 8, 16), 0.3, patch=30)
    with pytest.raises(ValueError, match="inputs of patch_refine must be .*got .'features'"):
        PatchRefiner(11, (4, 8), 0.3, ('features',))
