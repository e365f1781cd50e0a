# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The border between arrays and tensors, around a method without weights."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_merging_segmenter, tiny_model, tiny_refined_by_network

from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import Limit
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.timing import Stopwatch

LABELS = LabelSet('two', ('dark', 'bright'), ((0, 0, 0), (255, 255, 255)))
MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)


class Wrong:
    """Says the same of every image, whatever it is."""

    optional, needs_truth = (), False

    def __init__(self, label, uncertainty):
        self.label, self.uncertainty = label, uncertainty

    def limits(self):
        return {}

    def __call__(self, images, request, clock):
        labels = torch.full_like(images[:, 0], self.label).to(torch.uint8)
        uncertainty = torch.zeros_like(images[:, 0])
        uncertainty[0, 1, 2] = self.uncertainty
        return MethodOutput(labels, uncertainty, None, None)

    def coarse_logits(self, images):
        return images / self.uncertainty


class Spoilt(Wrong):
    """Spoils all that it says of an image."""

    def __init__(self, spoil):
        super().__init__(0, 0.0)
        self.spoil = spoil

    def __call__(self, images, request, clock):
        output = super().__call__(images, request, clock)
        return MethodOutput(self.spoil(output.labels), self.spoil(output.uncertainty))


class Reddish:
    """Labels 1 where red is above its mean; remembers what it was given and asked."""

    optional, needs_truth = ('confidence',), False

    def __init__(self, alpha=None):
        self.alpha, self.given, self.asked = alpha, None, None

    def limits(self):
        return {} if self.alpha is None else {'alpha': Limit(math.log(2), self.alpha, 'nats'),
                                              'budget': Limit(1.0, 1.0)}

    def __call__(self, images, request, clock):
        self.given, self.asked = images, request
        assert torch.is_inference_mode_enabled()
        with clock('dense'):
            labels = (images[:, 0] > 0).to(torch.uint8)
        certain = torch.zeros_like(images[:, 0])
        return MethodOutput(labels, certain, confidence=certain + 1
                            if 'confidence' in request.wants else None)


def make(alpha=None, **options):
    return Segmenter(Reddish(alpha), LABELS, MEAN, STD, **options)


def test_the_method_is_given_one_normalised_image_in_rgb():
    segment = make()
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    segment(image)
    expected = (torch.tensor(image).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    assert segment.method.given.shape == (1, 3, 4, 6)
    torch.testing.assert_close(segment.method.given[0], expected.movedim(-1, 0))


def test_the_prediction_has_the_size_of_the_image_and_its_times():
    image = np.zeros((5, 7, 3), np.uint8)
    image[:, 3:, 0] = 200
    seen = make()(image)
    assert seen.labels.tolist() == [[0, 0, 0, 1, 1, 1, 1]] * 5
    assert {'upload', 'dense', 'download', 'total'} == seen.milliseconds.keys()
    parts = sum(spent for stage, spent in seen.milliseconds.items() if stage != 'total')
    assert parts <= seen.milliseconds['total']


def test_confidence_is_made_only_when_asked_for():
    image = np.zeros((5, 7, 3), np.uint8)
    assert make()(image).confidence is None
    assert (make()(image, wants=('confidence',)).confidence == 1).all()
    with pytest.raises(ValueError, match="no optional output 'confidense'; did you mean 'confide"):
        make()(image, wants=('confidense',))


def test_an_image_that_is_a_view_with_steps_is_segmented_like_its_copy():
    image = np.random.default_rng(1).integers(0, 256, (8, 9, 3), np.uint8)
    turned = image[::-1, ::2]
    assert np.array_equal(make()(turned).labels, make()(turned.copy()).labels)


@pytest.mark.parametrize(('image', 'words'), [
    (np.zeros((4, 4, 4), np.uint8), 'got (4, 4, 4) uint8; drop the alpha channel'),
    (np.zeros((4, 4), np.uint8), 'image must be (H, W, 3) uint8 RGB, got (4, 4) uint8'),
    (np.zeros((4, 4, 3), np.float32), 'got (4, 4, 3) float32'),
    (np.zeros((0, 4, 3), np.uint8), 'got (0, 4, 3) uint8'),
    ([[0, 0, 0]], 'got list'),
])
def test_a_bad_image_is_refused_and_the_next_good_one_served(image, words):
    segment = make()
    with pytest.raises(ValueError) as caught:
        segment(image)
    assert words in str(caught.value)
    assert segment(np.zeros((4, 4, 3), np.uint8)).labels.shape == (4, 4)


@pytest.mark.parametrize(('limit', 'own', 'good', 'bad', 'words'), [
    ('alpha', 0.3, 0.5, 0.7, 'alpha must be from 0 to 0.693 nats, got 0.7'),
    ('budget', 1.0, 0.25, -0.1, 'budget must be from 0 to 1, got -0.1'),
])
def test_a_limit_reaches_the_method_within_its_range_only(limit, own, good, bad, words):
    segment, image = make(alpha=0.3), np.zeros((4, 6, 3), np.uint8)
    segment(image, **{limit: good})
    assert getattr(segment.method.asked, limit) == good
    segment(image)
    assert getattr(segment.method.asked, limit) is None and getattr(segment, limit) == own
    asking = segment.with_limits(**{limit: good})
    asking(image)
    assert getattr(segment.method.asked, limit) == getattr(asking, limit) == good
    assert getattr(segment, limit) == own
    for ask in (segment.with_limits, lambda **asked: segment(image, **asked)):
        with pytest.raises(ValueError, match=words):
            ask(**{limit: bad})
    with pytest.raises(ValueError, match=f'{limit} needs a method with refinement'):
        make()(image, **{limit: good})


def test_the_description_names_device_and_precision():
    assert make(description={'model': 'x'}).description == {
        'model': 'x', 'device': 'cpu', 'precision': 'fp32'}


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_frame_whose_output_is_not_finite_fails_in_one_sentence(value):
    segment = Segmenter(Wrong(0, value), LABELS, MEAN, STD)
    with pytest.raises(ValueError, match='finite numbers for 1 of 24 pixels in fp32; set precis'):
        segment(np.zeros((4, 6, 3), np.uint8))


def test_logits_that_are_not_finite_are_not_calibrated_on():
    segment = Segmenter(Wrong(0, math.nan), LABELS, MEAN, STD)
    with pytest.raises(ValueError, match='did not give finite numbers in fp32'):
        segment.coarse_logits(np.zeros((4, 6, 3), np.uint8))


def test_labels_without_a_class_fail_and_void_does_not():
    image = np.zeros((4, 6, 3), np.uint8)
    assert (Segmenter(Wrong(255, 0), LABELS, MEAN, STD)(image).labels == 255).all()
    with pytest.raises(ValueError, match='labels must be below 2 or 255, got 2; the weights have'):
        Segmenter(Wrong(2, 0), LABELS, MEAN, STD)(image)


@pytest.fixture(name='make_one', params=[
    lambda: assemble(tiny_model(), SparseRefineConfig(scale=0.5), 'cpu', 'fp32', {}),
    lambda: assemble(tiny_refined_by_network(), SparseRefineConfig(scale=0.5), 'cpu', 'fp32', {}),
    tiny_merging_segmenter,
], ids=['sparse_refine', 'network', 'algm'])
def each_kind(request):
    return request.param


def test_counting_its_work_does_not_disturb_frames_in_other_threads(make_one):
    segment, image = make_one(), street_image(64, 96)
    seen = segment(image)
    refined = None if seen.refined is None else torch.from_numpy(seen.refined)[None]
    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(lambda: [segment.method.count_macs((64, 96), refined, seen.work)
                                           for _ in range(5)])
        while not counting.done():
            assert np.array_equal(segment(image).uncertainty, seen.uncertainty)
        assert len(set(map(str, counting.result()))) == 1


def test_threads_may_ask_one_segmenter_for_different_things(make_one):
    segment, images = make_one(), [street_image(64, 96, seed) for seed in range(2)]
    asked = [{'wants': segment.method.optional}, {}]
    if segment.alpha is not None:
        asked = [{'alpha': 0.0, 'budget': 0.3}, {'alpha': 2.0, 'wants': ('confidence',)}]
    alone = [segment(image, **ask) for image, ask in zip(images, asked)]

    def ask_often(index):
        return [segment(images[index], **asked[index]) for _ in range(10)]
    count = torch.get_num_threads()  # another test's worker may have left another one to threads
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(count,)) as threads:
        together = list(threads.map(ask_often, range(2)))
    for seen, often in zip(alone, together):
        for again in often:
            for name in ('labels', 'uncertainty', 'refined', 'confidence', 'merged'):
                assert np.array_equal(getattr(again, name), getattr(seen, name)), name


def test_proper_scores_are_no_part_of_the_time_of_a_frame():
    segment = assemble(tiny_model(), SparseRefineConfig(scale=0.5), 'cpu', 'fp32', {})
    image = street_image()
    seen = segment(image, wants=('proper_scores',), truth=np.zeros(image.shape[:2], np.uint8))
    assert seen.nll is not None and 'proper_scores' not in seen.milliseconds
    clock = Stopwatch()
    with clock('outer'):
        with clock('inner'):
            time.sleep(0.02)
    assert clock.milliseconds['inner'] >= 20 > clock.milliseconds['outer']


def test_a_refiner_takes_no_scale_above_one():
    with pytest.raises(ValueError, match="scale must be at most 1, got 1.5; use 'method: dense'"):
        assemble(tiny_model(), SparseRefineConfig(scale=1.5), 'cpu', 'fp32', {})


@pytest.mark.parametrize(('spoil', 'got'), [
    (lambda part: part[:, 1:], r'\(3, 6\) uint8'), (lambda part: part.long(), r'\(4, 6\) int64')])
def test_labels_of_another_size_or_type_than_the_image_are_refused(spoil, got):
    segment = Segmenter(Spoilt(spoil), LABELS, MEAN, STD)
    with pytest.raises(ValueError, match=rf'labels must be \(4, 6\) uint8 .* got {got}; the'):
        segment(np.zeros((4, 6, 3), np.uint8))
