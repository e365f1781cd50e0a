# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PointRend, against loops over points that share nothing with it but the perceptron."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import demo_and_street, tiny_model
from torch.nn import functional as F

from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.point_rend.head import PointHead
from sparse_seg_ros.methods.point_rend.loss import point_loss, training_points
from sparse_seg_ros.methods.point_rend.maps import Maps, doublings, read_maps
from sparse_seg_ros.methods.point_rend.method import PointRend
from sparse_seg_ros.methods.point_rend.points import centres, most_doubtful, sample_points
from sparse_seg_ros.methods.request import DEFAULTS
from sparse_seg_ros.timing import Stopwatch


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bilinear(values, y, x):
    """(F, h, w) numpy, a place in pixels with centres at halves -> (F,)."""
    height, width = values.shape[1:]
    y, x = (min(max(at - 0.5, 0), side - 1) for at, side in ((y, height), (x, width)))
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return ((1 - dy) * ((1 - dx) * values[:, top, left] + dx * values[:, top, right])
            + dy * ((1 - dx) * values[:, bottom, left] + dx * values[:, bottom, right]))


def lead(logits):
    first, second = np.sort(logits)[::-1][:2]
    return first - second


def test_points_are_sampled_between_the_centres_of_pixels():
    values, points = random(2, 3, 5, 7), torch.rand(2, 20, 2)
    points[:, :4] = torch.tensor([[0., 0.], [1., 1.], [0., 1.], [0.5, 0.5]])
    sampled = sample_points(values, points)
    for image in range(2):
        for index, (y, x) in enumerate(points[image].tolist()):
            expected = bilinear(values[image].numpy(), y * 5, x * 7)
            np.testing.assert_allclose(sampled[image, :, index], expected, atol=1e-5)


def test_a_map_sampled_at_its_own_pixels_is_itself():
    values = random(1, 3, 4, 6)
    points = centres(torch.arange(24)[None], (4, 6))
    torch.testing.assert_close(sample_points(values, points).view(1, 3, 4, 6), values)


@pytest.mark.parametrize('count', [0, 1, 7, 24])
def test_the_most_doubtful_have_the_smallest_lead(count):
    logits = random(2, 5, 4, 6)
    found = most_doubtful(logits, count)
    for image in range(2):
        flat = logits[image].flatten(1).numpy()
        order = np.argsort([lead(flat[:, pixel]) for pixel in range(24)])
        assert set(found[image].tolist()) == set(order[:count].tolist())


def test_three_quarters_of_the_training_points_are_the_most_doubtful_of_three_times_as_many():
    maps = Maps(random(1, 2, 5, 7), random(1, 4, 5, 7, seed=1), (9, 13), stride=2)
    torch.manual_seed(3)
    points = training_points(maps, 16)[0].numpy()
    torch.manual_seed(3)
    many, even = torch.rand(1, 48, 2)[0].numpy(), torch.rand(1, 4, 2)[0].numpy()
    leads = [lead(bilinear(maps.coarse[0].numpy(), y * 9 / 2, x * 13 / 2)) for y, x in many]
    expected = many[np.argsort(leads)[:12]]
    np.testing.assert_allclose(np.sort(points[:12], 0), np.sort(expected, 0), atol=1e-6)
    np.testing.assert_array_equal(points[12:], even)


def test_an_untrained_head_repeats_the_coarse_logits():
    coarse = random(2, 5, 9)
    assert torch.equal(PointHead(5, 3, (8, 8))(random(2, 3, 9), coarse), coarse)


def test_a_head_is_a_perceptron_that_sees_the_coarse_logits_at_every_layer():
    head = PointHead(5, 3, (8, 6))
    torch.nn.init.normal_(head.predict.weight)
    fine, coarse = random(1, 3, 1), random(1, 5, 1, seed=1)
    x = fine[0, :, 0].numpy()
    for layer in head.layers:
        x = layer.weight[:, :, 0].detach().numpy() @ np.append(x, coarse[0, :, 0]) \
            + layer.bias.detach().numpy()
        x = np.maximum(x, 0)
    x = head.predict.weight[:, :, 0].detach().numpy() @ np.append(x, coarse[0, :, 0])
    np.testing.assert_allclose(head(fine, coarse)[0, :, 0].detach(), x, atol=1e-5)
    assert head.macs_per_point() == (3 + 5) * 8 + (8 + 5) * 6 + (6 + 5) * 5


def trained_head(model):
    torch.manual_seed(1)
    torch.nn.init.normal_(model.refiner.predict.weight)
    return model.refiner


def render_literally(maps, head, sizes, counts):
    """Render one image pixel by pixel, as section 3.1 tells it."""
    features, coarse = maps.features[0].double().numpy(), maps.coarse[0].double().numpy()
    image_hw, stride = maps.image_hw, maps.stride
    logits = None
    for (height, width), count in zip(sizes, counts):
        larger = np.zeros((coarse.shape[0], height, width))
        for y in range(height):
            for x in range(width):
                part_y, part_x = (y + 0.5) / height, (x + 0.5) / width
                if logits is None:
                    larger[:, y, x] = bilinear(coarse, part_y * image_hw[0] / stride,
                                               part_x * image_hw[1] / stride)
                else:
                    larger[:, y, x] = bilinear(logits, part_y * logits.shape[1],
                                               part_x * logits.shape[2])
        logits = larger
        order = sorted((lead(logits[:, y, x]), y, x) for y in range(height) for x in range(width))
        for _, y, x in order[:count]:
            at = ((y + 0.5) / height * image_hw[0] / stride,
                  (x + 0.5) / width * image_hw[1] / stride)
            fine, rough = (torch.tensor(bilinear(values, *at), dtype=torch.float32)[None, :, None]
                           for values in (features, coarse))
            logits[:, y, x] = head(fine, rough)[0, :, 0].numpy()
    return logits


@torch.inference_mode()
@pytest.mark.parametrize(('size_hw', 'scale', 'sizes'), [
    ((30, 46), 0.5, [(16, 24), (30, 46)]),
    ((20, 33), 1.0, [(20, 33)]),
])
def test_rendering_equals_a_loop_over_pixels(size_hw, scale, sizes):
    model = tiny_model(refined_by='point_rend', planes=(8, 8))
    method = PointRend(model.network, trained_head(model), scale)
    method.points = 25 * 2 ** 21 // (size_hw[0] * size_hw[1])
    images = random(1, 3, *size_hw)
    small = images if scale == 1 else F.interpolate(
        images, [round(side * scale) for side in size_hw], mode='area')
    maps = read_maps(model.network, small)
    logits, refined, points, _ = method.render(images, DEFAULTS, Stopwatch())
    counts = [method.count(step_hw, size_hw, len(sizes), 1.0) for step_hw in sizes]
    assert counts[-1] in (24, 25) and points == sum(counts)
    expected = render_literally(maps, model.refiner, sizes, counts)
    np.testing.assert_allclose(logits[0], expected, atol=2e-4)
    assert counts[-1] <= refined.sum() <= sum(
        count * np.ceil(size_hw[0] / h) * np.ceil(size_hw[1] / w)
        for count, (h, w) in zip(counts, sizes))


def test_sizes_double_up_to_the_full_one():
    assert doublings((512, 1024), 2, (1024, 2048)) == [(512, 1024), (1024, 2048)]
    assert doublings((307, 614), 8, (1024, 2048)) == [
        (78, 154), (156, 308), (312, 616), (624, 1232), (1024, 2048)]
    assert doublings((7, 9), 1, (7, 9)) == [(7, 9)]


def test_points_are_in_proportion_to_the_image_and_within_the_budget():
    method = PointRend(None, None)
    assert method.count((512, 1024), (1024, 2048), 2, 1.0) == 8096
    assert method.count((256, 512), (512, 1024), 2, 1.0) == 2024
    assert method.count((512, 1024), (1024, 2048), 2, 0.01) == 512 * 1024 // 200


@torch.inference_mode()
def test_an_untrained_point_rend_only_interpolates():
    model, images, label = demo_and_street()
    head = PointHead(11, 48).eval()
    scores = []
    for method in (Dense(model.network, 0.5), PointRend(model.network, head, 0.5)):
        matrix = ConfusionMatrix(11)
        matrix.add(method(images, DEFAULTS, Stopwatch()).labels[0].numpy(), label)
        scores.append(matrix.mean_iou())
    assert abs(scores[1] - scores[0]) < 0.005  # bilinear instead of nearest, at some pixels


@torch.inference_mode()
def test_labels_are_those_of_the_full_logits():
    model = tiny_model(refined_by='point_rend', planes=(8, 8))
    method, images = PointRend(model.network, trained_head(model)), random(2, 3, 48, 64)
    output = method(images, DEFAULTS, Stopwatch())
    assert torch.equal(output.labels, method.full_logits(images).argmax(1).to(torch.uint8))


def test_the_loss_looks_up_the_label_under_each_point():
    maps = Maps(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4), (4, 4), stride=1)
    said = torch.tensor([5.0, 0.0, 0.0])[None, :, None]
    labels = torch.zeros(1, 32, 48, dtype=torch.uint8)
    right = point_loss(lambda fine, coarse: said.expand(-1, -1, fine.shape[2]), maps, labels)
    wrong = point_loss(lambda fine, coarse: said.expand(-1, -1, fine.shape[2]), maps, labels + 1)
    assert right < 0.1 and wrong > 4.9


def test_void_points_alone_give_a_loss_of_zero_with_gradients():
    head = PointHead(3, 2, (4,))
    maps = Maps(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4), (4, 4), stride=1)
    loss = point_loss(head, maps, torch.full((1, 32, 32), 255, dtype=torch.uint8))
    loss.backward()
    assert loss == 0 and all((p.grad == 0).all() for p in head.parameters())
