# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rivals that cluster tokens, against loops in double precision, and what they cost."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm import ailurus, elvit, token_pooling
from sparse_seg_ros.methods.algm.method import Algm
from sparse_seg_ros.methods.algm.settings import CLUSTERING_RULES, Merging
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.timing import Stopwatch

GRIDS = [(6, 9), (4, 5), (9, 8), (1, 7)]
KEEP = 0.4


def draw_tokens(seed, grid_hw, width=6):
    """Draw tokens that resemble few directions, more so where they are neighbours."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = grid_hw
    coarse = 3 * torch.randn(2, width, 2, 3, generator=generator, dtype=torch.float64)
    flat = F.interpolate(coarse, grid_hw).flatten(2).mT
    noise = torch.randn(2, 1 + rows * columns, width, generator=generator, dtype=torch.float64)
    noise[:, 1:] = flat + 0.7 * noise[:, 1:]
    return Tokens(noise, grid_hw)


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))


def softmax(logits):
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    return [power / sum(powers) for power in powers]


def mean_of(rows, weights):
    return [sum(w * x for w, x in zip(weights, column)) / sum(weights) for column in zip(*rows)]


def first_clusters(patches, grid_hw, cells_hw):
    """Return the means over the cells; a cell has all patches that it touches."""
    spans = [[range(cell * side // cells, -(-(cell + 1) * side // cells))
              for cell in range(cells)] for side, cells in zip(grid_hw, cells_hw)]
    return [mean_of([patches[y * grid_hw[1] + x] for y in rows for x in columns],
                    [1] * (len(rows) * len(columns))) for rows in spans[0] for columns in spans[1]]


def elvit_by_loops(patches, grid_hw, cells_hw):
    """Return the clusters, and for each patch {cluster: share} of what restores it."""
    (rows, columns), (down, across) = grid_hw, cells_hw
    centers = first_clusters(patches, grid_hw, cells_hw)
    for _ in range(5):
        shares = []
        for place, patch in enumerate(patches):
            y, x = place // columns * down // rows, place % columns * across // columns
            around = [i * across + j for i in range(down) for j in range(across)
                      if abs(y - i) <= 2 and abs(x - j) <= 2]
            logits = [-distance(patch, centers[c]) ** 2 / 50 for c in around]
            shares.append(dict(zip(around, softmax(logits))))
        centers = [mean_of(patches, [share.get(c, 0.0) for share in shares])
                   for c in range(down * across)]
    mixtures = []
    for patch in patches:
        away = sorted((distance(patch, center), c) for c, center in enumerate(centers))[:20]
        shares = softmax([-length ** 2 / 50 for length, _ in away])
        mixtures.append({c: share for (_, c), share in zip(away, shares)})
    return centers, mixtures


@pytest.mark.parametrize('grid_hw', GRIDS, ids=str)
def test_elvit_clusters_and_restores_as_loops_do(grid_hw):
    tokens = draw_tokens(1, grid_hw)
    after = elvit.merge_to_clusters(tokens, KEEP)
    cells_hw = elvit.cluster_grid(grid_hw, KEEP)
    refined = after.map(lambda values: values.tanh())  # as later blocks would change them
    restored = refined.restored()
    assert after.values.shape[1] == 1 + cells_hw[0] * cells_hw[1]
    for image in range(2):
        patches = tokens.values[image, 1:].tolist()
        centers, mixtures = elvit_by_loops(patches, grid_hw, cells_hw)
        torch.testing.assert_close(after.values[image, 1:].tolist(), centers, atol=1e-9, rtol=0)
        for patch, mixture in enumerate(mixtures):
            want = [sum(share * math.tanh(centers[c][channel]) for c, share in mixture.items())
                    for channel in range(6)]
            torch.testing.assert_close(restored.values[image, 1 + patch].tolist(), want,
                                       atol=1e-9, rtol=0)
            nearest = max(mixture, key=mixture.get)
            assert after.groups[image, 1 + patch] == 1 + nearest
    assert torch.equal(restored.values[:, 0], tokens.values[:, 0].tanh())


def test_the_clusters_of_elvit_are_as_many_as_in_its_paper():
    assert elvit.cluster_grid((40, 40), 0.49) == (28, 28)
    assert elvit.cluster_grid((1, 3), 0.01) == (1, 1)


def test_clusters_far_from_all_their_tokens_stay_where_they_were():
    shares = torch.tensor([[[1.0, 0], [1, 0]]])
    former = torch.tensor([[[5.0], [7]]])
    assert elvit.average(shares, torch.tensor([[[1.0], [3]]]), former).tolist() == [[[2], [7]]]


def ailurus_by_loops(patches, grid_hw, count):
    """Return the peaks, in order, and for each patch the peak that it joins."""
    places = [(y, x) for y in range(grid_hw[0]) for x in range(grid_hw[1])]
    near = []  # for each patch {neighbour: distance x factor}
    for i, (y, x) in enumerate(places):
        ranked = sorted(range(len(places)),
                        key=lambda j: ((y - places[j][0]) ** 2 + (x - places[j][1]) ** 2, j))
        near.append({j: distance(patches[i], patches[j]) * (0.5 + 0.5 * rank / 50)
                     for rank, j in enumerate(ranked) if 0 < rank <= 50})
    density = []
    for found in near:
        nearest = sorted(found.values())[:5]
        density.append(math.exp(-sum(nearest) / len(nearest)))
    largest = max(length for found in near for length in found.values())
    scores = []
    for i, found in enumerate(near):
        denser = [length for j, length in found.items() if density[j] > density[i]]
        scores.append(density[i] * min(denser, default=largest))
    peaks = sorted(sorted(range(len(places)), key=lambda i: -scores[i])[:count])
    return peaks, [i if i in peaks else min(peaks, key=lambda j: distance(patches[i], patches[j]))
                   for i in range(len(places))]


@pytest.mark.parametrize('grid_hw', GRIDS, ids=str)
def test_ailurus_keeps_the_peaks_of_density_as_loops_do(grid_hw):
    tokens = draw_tokens(2, grid_hw)
    count = round(KEEP * grid_hw[0] * grid_hw[1])
    after = ailurus.merge_to_peaks(tokens, KEEP)
    assert after.values.shape[1] == 1 + count
    for image in range(2):
        patches = tokens.values[image, 1:].tolist()
        peaks, joined = ailurus_by_loops(patches, grid_hw, count)
        assert after.groups[image].tolist() == [0, *(1 + peaks.index(peak) for peak in joined)]
        for peak, value in zip(peaks, after.values[image, 1:]):
            members = [row for row, own in zip(patches, joined) if own == peak]
            want = mean_of(members, [1] * len(members))
            torch.testing.assert_close(value.tolist(), want, atol=1e-12, rtol=0)
        restored = after.restored().values[image, 1:]
        assert torch.equal(restored, after.values[image, after.groups[image, 1:]])


def test_without_a_denser_neighbour_the_distance_is_the_largest_of_the_image():
    distances = torch.tensor([[[0.0, 1, 4], [1, 0, 2], [4, 2, 0]]])
    factor = 1 - torch.eye(3)
    scores = ailurus.peak_scores(distances, factor).exp()
    density = torch.tensor([2.5, 1.5, 3.0]).neg().exp()  # the middle one has the densest place
    torch.testing.assert_close(scores[0], density * torch.tensor([1.0, 4.0, 2.0]))


def significance_by_loops(queries, keys):
    """(heads, T, d) lists -> the attention that each token gets, mean over heads and tokens."""
    count, width = len(queries[0]), len(queries[0][0])
    got = [0.0] * count
    for query, key in zip(queries, keys):
        for one in query:
            logits = [sum(a * b for a, b in zip(one, other)) / math.sqrt(width) for other in key]
            got = [a + b for a, b in zip(got, softmax(logits))]
    return [total / len(queries) / count for total in got]


def pooling_by_loops(values, weights, count):
    """Return the medoids, in order, and for each token the medoid of its cluster."""
    def join(medoids):
        return [i if i in medoids else min(medoids, key=lambda m: distance(row, values[m]))
                for i, row in enumerate(values)]
    medoids = sorted(sorted(range(len(values)), key=lambda i: -weights[i])[:count])
    for _ in range(5):
        joined, found = join(medoids), []
        for medoid in medoids:
            members = [i for i, own in enumerate(joined) if own == medoid]
            found.append(min(members, key=lambda i: sum(
                weights[j] * distance(values[i], values[j]) ** 2 for j in members)))
        medoids = sorted(found)
    return medoids, join(medoids)


@pytest.mark.parametrize('grid_hw', GRIDS, ids=str)
def test_token_pooling_keeps_the_weighted_medoids_as_loops_do(grid_hw):
    tokens = draw_tokens(3, grid_hw)
    generator = torch.Generator().manual_seed(4)
    looked = torch.randn(2, 2, 3, tokens.values.shape[1], 4, generator=generator,
                         dtype=torch.float64)
    count = round(KEEP * grid_hw[0] * grid_hw[1])
    after = token_pooling.merge_to_medoids(tokens, looked, KEEP)
    assert after.values.shape[1] == 1 + count
    for image in range(2):
        weights = significance_by_loops(*looked[:, image].tolist())[1:]
        values = tokens.values[image, 1:]
        medoids, joined = pooling_by_loops(values.tolist(), weights, count)
        assert after.groups[image].tolist() == [0, *(1 + medoids.index(own) for own in joined)]
        assert torch.equal(after.values[image, 1:], values[medoids])


def draw_network(decoder='mask'):
    torch.manual_seed(0)
    return SegmenterViT(128, 16, 64, 4, 4, 5, decoder).double().eval()


def draw_images(batch=2, height=128, width=96):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(('rule', 'row'), [
    ('elvit', [49, 49, 25, 25]),  # 6 x 4 clusters
    ('ailurus', [49, 49, 25, 25]), ('pooling', [25, 25, 13, 13])])
@pytest.mark.parametrize('decoder', ['linear', 'mask', 'mla'])
def test_as_many_stay_of_any_image_which_gives_what_it_gives_alone(rule, row, decoder):
    network, images = draw_network(decoder), draw_images(3)
    before = network(images)
    algm.apply(network, Merging((1, 3), rule=rule, keep=0.5))
    assert network.images_at_once(3) == 3 and network.multiple == 16
    together = network(images)
    assert algm.token_counts(network) == [row] * 3
    for image, want in zip(images, together):
        torch.testing.assert_close(network(image[None])[0], want, atol=1e-9, rtol=0)
    algm.remove(network)
    assert torch.equal(network(images), before)


@pytest.mark.parametrize('rule', CLUSTERING_RULES)
def test_gradients_reach_all_weights(rule):
    network = draw_network().train()
    algm.apply(network, Merging((1, 3), rule=rule, keep=0.5, batch_rule='shared'))
    network(draw_images()).square().sum().backward()
    still = {key for key, value in network.named_parameters() if value.grad is None}
    assert still == {'encoder.head.weight', 'encoder.head.bias'}


@pytest.mark.parametrize('rule', CLUSTERING_RULES)
def test_a_tiny_or_a_uniform_image_is_no_exception(rule):
    network = draw_network()
    algm.apply(network, Merging((1, 3), rule=rule, keep=0.5))
    for image in (draw_images(1, 16, 16), draw_images(1, 16, 48),
                  torch.zeros(1, 3, 64, 64, dtype=torch.float64)):
        assert network(image).isfinite().all()


@pytest.mark.parametrize('rule', CLUSTERING_RULES)
def test_autocast_and_half_precision_are_no_exception(rule):
    network, images = draw_network().float(), draw_images().float()
    algm.apply(network, Merging((1, 3), rule=rule, keep=0.5))
    with torch.inference_mode():
        with torch.autocast('cpu', torch.bfloat16):
            assert network(images).isfinite().all()
        assert network.bfloat16()(images.bfloat16()).isfinite().all()


@pytest.mark.parametrize('rule', CLUSTERING_RULES)
@torch.inference_mode()
def test_multiply_accumulates_are_those_of_the_tokens_left_and_the_map_shows_who_shares(rule):
    method = Algm(draw_network().float(), Merging((1, 3), rule=rule, keep=0.5))
    output = method(draw_images(2).float(), Request(wants=frozenset(['merged'])), Stopwatch())
    assert output.merged.any()
    counts = output.work.calls[0].counts
    attended = [49, *counts[:-1]]
    dim, classes, patches = 64, 5, 48
    decoded = patches if rule != 'pooling' else counts[-1] - 1
    blocks = sum(4 * t * dim ** 2 + 2 * t * t * dim + 8 * left * dim ** 2
                 for t, left in zip(attended, counts))
    with_classes = decoded + classes
    decoder = decoded * dim ** 2 + 2 * (12 * with_classes * dim ** 2
                                        + 2 * with_classes ** 2 * dim)
    decoder += with_classes * dim ** 2 + decoded * dim * classes
    embedding = patches * 3 * 16 ** 2 * dim
    assert method.count_macs((128, 96), work=output.work)['dense'] == blocks + decoder + embedding
