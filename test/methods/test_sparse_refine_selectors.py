# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Selectors of SparseRefine's Table 5a."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine.loss import refinement_loss, selection_loss
from sparse_seg_ros.methods.sparse_refine.parts import SELECTORS, Parts
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.methods.sparse_refine.selector import LearnableSelector, Scene
from sparse_seg_ros.networks.features import Features

CLASSES = 5


def some_scene(batch=2) -> Scene:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(batch, *shape, generator=generator)
    features = Features(draw(7, 5, 8), torch.arange(10) // 2, torch.arange(16) // 2)
    labels = torch.randint(CLASSES, (batch, 20, 32), generator=generator)
    labels[:, :5] = 255
    return Scene(draw(3, 20, 32), 3 * draw(CLASSES, 10, 16), features, labels)


def part_of(scene: Scene, image: int) -> Scene:
    one = slice(image, image + 1)
    features = Features(scene.features.values[one], scene.features.rows, scene.features.columns)
    return Scene(scene.image[one], scene.logits[one], features, scene.truth[one])


def selected(name: str, alpha: float, scene: Scene, budget: float = 1.0) -> torch.Tensor:
    torch.manual_seed(0)
    refiner = SparseRefiner(CLASSES, (4, 8), alpha, parts=Parts(name)).eval()
    if name == 'learnable':  # as if it had been trained
        torch.nn.init.normal_(refiner.selector.judge[-1].weight)
    return refiner(scene.image, scene.logits, features=scene.features,
                   request=Request(budget=budget, truth=scene.truth)).selected


@pytest.mark.parametrize('name', SELECTORS)
def test_scores_are_in_the_range_of_alpha_and_no_matter_the_company(name):
    scene, selector = some_scene(), SELECTORS[name](CLASSES).eval()
    scores = selector(scene)
    assert scores.shape[1:] in ((10, 16), (20, 32)) and scores.dtype == torch.float32
    assert scores.min() >= 0 and scores.max() <= selector.most + 1e-6
    torch.testing.assert_close(scores[1:], selector(part_of(scene, 1)))


@pytest.mark.parametrize('name', SELECTORS)
def test_alpha_is_a_strict_threshold_and_the_budget_a_limit(name):
    scene = some_scene()
    most = 1.0 if name != 'entropy' else 1.609
    assert not selected(name, most, scene).any()
    everything = selected(name, 0.0, scene)
    assert everything.any()
    cut = selected(name, 0.0, scene, budget=0.1).flatten(1).sum(1)
    assert (cut == everything.flatten(1).sum(1).clamp(max=64)).all()  # 64 is a tenth


def test_random_selection_has_the_density_one_minus_alpha_and_ignores_the_global_seed():
    scene = Scene(torch.zeros(1, 3, 200, 300), torch.zeros(1, CLASSES, 100, 150))
    refine = SparseRefiner(CLASSES, (4, 8), 0.9, parts=Parts('random')).eval()
    first = refine.selector(scene)
    torch.rand(3)
    assert torch.equal(refine.selector(scene), first)
    assert (first > 0.9).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert not torch.equal(refine.train().selector(scene), first)


def test_magnitude_is_the_norm_over_the_largest_of_the_image():
    scene = some_scene()
    nearest = F.interpolate(scene.features.values, (10, 16), mode='nearest')
    norm = nearest.square().sum(1).sqrt()
    want = torch.stack([image / image.max() for image in norm])
    torch.testing.assert_close(SELECTORS['magnitude'](CLASSES)(scene), want)


def test_the_oracle_finds_all_errors_and_nothing_else():
    scene = some_scene()
    predicted = F.interpolate(scene.logits, (20, 32), mode='nearest').argmax(1)
    wrong = (predicted != scene.truth) & (scene.truth != 255)
    assert torch.equal(selected('oracle', 0.5, scene), wrong)


@pytest.mark.parametrize(('name', 'message'), [
    ('oracle', 'an oracle needs the labels of the image'),
    ('magnitude', "this refiner needs the network's last features")])
def test_a_selector_without_what_it_needs_says_so(name, message):
    scene = some_scene()
    with pytest.raises(ValueError, match=message):
        SELECTORS[name](CLASSES)(Scene(scene.image, scene.logits))


def test_the_learnable_selector_has_its_layers_and_at_first_selects_nothing():
    selector = LearnableSelector(19)
    shapes = [tuple(parameter.shape) for parameter in selector.parameters() if parameter.ndim > 1]
    assert shapes == [(16, 3, 3, 3), (16, 16, 3, 3), (32, 36, 1, 1), (32, 32, 1, 1), (1, 32, 1, 1)]
    scene = some_scene()
    torch.testing.assert_close(LearnableSelector(CLASSES)(scene), torch.full((2, 10, 16), 0.05))


def test_the_learnable_selector_looks_at_the_entropy_too():
    selector, logits = LearnableSelector(CLASSES), 3 * torch.randn(1, CLASSES, 10, 16)
    torch.nn.init.normal_(selector.judge[-1].weight)
    with torch.no_grad():
        selector.judge[0].weight[:, :-1] = 0.0  # only the last of what it looks at is left
    seen, turned = (selector(Scene(torch.rand(1, 3, 20, 32), each))
                    for each in (logits, logits.roll(1, dims=1)))  # other classes, as unsure
    assert seen.std() > 0
    torch.testing.assert_close(turned, seen)


def test_the_selectors_loss_is_the_cross_entropy_with_every_pixels_error():
    scene = some_scene()
    p = torch.rand(2, 10, 16)
    predicted = F.interpolate(scene.logits, (20, 32), mode='nearest').argmax(1)
    known = scene.truth != 255
    wrong = (predicted != scene.truth)[known].float()
    full = F.interpolate(p[:, None], (20, 32), mode='nearest')[:, 0][known]
    torch.testing.assert_close(selection_loss(p, scene.logits, scene.truth),
                               F.binary_cross_entropy(full, wrong))


def test_the_learnable_selector_learns_beside_the_refiner_and_not_through_it():
    scene, seen = some_scene(), {}
    for alpha in (0.0, 1.0):  # all refined, nothing refined: the selector's gradient is the same
        torch.manual_seed(0)
        refiner = SparseRefiner(CLASSES, (4, 8), alpha, parts=Parts('learnable'))
        output = refiner(scene.image, scene.logits)
        refinement_loss(output, scene.truth).backward()
        seen[alpha] = refiner.selector.judge[-1].weight.grad
    assert seen[0.0].abs().max() > 0
    torch.testing.assert_close(seen[0.0], seen[1.0])
