# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An engine that does not say what torch says is found out."""

from __future__ import annotations

import pytest
import torch
from tiny import TinyPooling

from sparse_seg_ros.engines.self_check import (
    MOST_PIXELS,
    SelfCheckError,
    check,
    check_maps,
    compare,
    load_reference,
    make_images,
    make_reference,
)

MEAN, STD = (105.0, 108.0, 110.0), (70.0, 73.0, 72.0)


@pytest.fixture(name='network', scope='module')
def make_network():
    torch.manual_seed(0)
    return TinyPooling(11).eval()


@pytest.fixture(name='reference', scope='module')
def reference_of_network(network):
    return make_reference(network, make_images((2, 3, 48, 96), MEAN, STD))


def test_the_images_are_different_streets_normalised(reference):
    images = reference.images
    assert images.shape == (2, 3, 48, 96) and images.dtype == torch.float32
    assert not torch.equal(images[0], images[1])
    pixels = images * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    assert pixels.min() > -0.01 and pixels.max() < 255.01 and pixels.std() > 20


def test_the_network_itself_passes_and_so_does_what_was_stored(network, reference, tmp_path):
    reference.save(tmp_path / 'reference')
    agreement = check(network, load_reference(tmp_path / 'reference'), 'cpu', 'fp32')
    assert agreement.labels == 1 and agreement.largest_difference == 0
    assert str(agreement).startswith('100.00% of the labels equal torch, logits differ by 0')


def test_labels_that_tie_are_told_from_wrong_ones():
    logits = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    logits[:, 0, 0, 0] = logits[0, :, 0, 0].max() + 1
    tied = logits.clone()
    tied[:, 1, 0, 0] = tied[:, 0, 0, 0] - 1e-6
    other = tied.clone()
    other[:, 1, 0, 0] += 2e-6
    agreement = compare(other, tied)
    assert agreement.labels == pytest.approx(63 / 64) and 0 < agreement.widest_tie < 1e-5
    assert compare(other, logits).widest_tie > 0.5
    assert 'others it preferred by up to' in str(agreement)


def test_of_many_pixels_a_grid_is_stored(network):
    images = torch.randn(2, 3, 512, 640)
    reference = make_reference(network, images)
    assert reference.step == 2 and reference.logits[:, 0].numel() <= MOST_PIXELS
    assert check(network, reference, 'cpu', 'fp32').largest_difference == 0


WRONG = {
    'other labels': lambda logits: logits.flip(1),
    'the same labels, surer': lambda logits: 2 * logits,
    'not a number': lambda logits: logits * float('nan'),
    'shifted by a pixel': lambda logits: logits.roll(1, dims=3),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_logits_are_refused_in_words(name, network, reference):
    with pytest.raises(SelfCheckError, match='self-check failed: .* of the labels equal torch'):
        check(lambda images: WRONG[name](network(images)), reference, 'cpu', 'fp32')


def test_logits_of_another_shape_are_refused(network, reference):
    with pytest.raises(SelfCheckError, match='is the engine of another network'):
        check(lambda images: network(images)[:, :5], reference, 'cpu', 'fp32')


def test_lower_precisions_may_differ_more(network, reference):
    noise = 0.05 * reference.logits.std() * torch.randn(
        reference.logits.shape, generator=torch.Generator().manual_seed(0))

    def noisy(images):
        return network(images) + noise
    with pytest.raises(SelfCheckError):
        check(noisy, reference, 'cpu', 'fp32')
    logits = network(reference.images)
    assert (noisy(reference.images).argmax(1) == logits.argmax(1)).float().mean() < 0.999


def test_a_damaged_reference_is_named(tmp_path):
    (tmp_path / 'reference').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='holds no reference logits'):
        load_reference(tmp_path / 'reference')


def test_maps_that_are_not_those_of_torch_are_refused():
    maps = torch.randn(1, 4, 6, 8), torch.randn(1, 8, 3, 4)
    check_maps(maps, maps, 0.01)
    with pytest.raises(SelfCheckError, match='map_1 differs .* by 1.0e-01 .* needed: 0.01'):
        check_maps((maps[0], maps[1] + 0.1 * maps[1].std()), maps, 0.01)
    with pytest.raises(SelfCheckError, match='is the engine of another network'):
        check_maps(maps[:1], maps, 0.01)
