# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: every pixel is seen, and seen logits are averaged."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.request import DEFAULTS
from sparse_seg_ros.networks.sliding import Windows, run_sliding, starts
from sparse_seg_ros.timing import Stopwatch


class Recognise(nn.Module):
    """Logits: the image itself, and the mean of what the network was shown."""

    multiple, num_classes, stride = 4, 4, 1

    def forward(self, images):
        assert images.shape[2:] == (8, 8)
        mean = images.mean((1, 2, 3), keepdim=True).expand(-1, 1, 8, 8)
        return torch.cat((images, mean), 1)


@pytest.mark.parametrize('size', [(8, 8), (8, 20), (19, 30), (5, 12), (3, 1)], ids=str)
@pytest.mark.parametrize('step', [3, 8])
def test_every_pixel_gets_its_own_logits(size, step):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    logits = run_sliding(Recognise(), images, Windows((8, 8), (step, step)))
    assert logits.shape == (2, 4, *size)
    torch.testing.assert_close(logits[:, :3], images)


def test_overlapping_windows_are_averaged():
    images = torch.zeros(1, 3, 8, 12)
    images[..., 8:] = 1  # the windows, at 0 and at 4, have means of 0 and 0.5
    logits = run_sliding(Recognise(), images, Windows((8, 8), (8, 8)))
    assert logits[0, 3, 0].tolist() == [0] * 4 + [0.25] * 4 + [0.5] * 4


def test_the_last_window_ends_with_the_image():
    assert starts(20, 8, 8) == [0, 8, 12]
    assert starts(16, 8, 8) == [0, 8] and starts(8, 8, 8) == [0]


@pytest.mark.parametrize(('side', 'step'), [(6, 4), (8, 0), (8, 9), (0, 1)])
def test_windows_that_leave_gaps_or_do_not_fit_are_refused(side, step):
    windows = Windows((8, side), (8, step))
    text = 'window sides must be multiples of 4 and strides from 1 to the sides, got '
    with pytest.raises(ValueError, match=re.escape(f'{text}(8, {side}) and (8, {step}); Seg')):
        run_sliding(Recognise(), torch.zeros(1, 3, 8, 8), windows)
    with pytest.raises(ValueError, match=text):
        Dense(Recognise(), windows=windows)


class Coarse(nn.Module):
    """A quarter of the image's size, columns twice as fine to look at as rows."""

    multiple, num_classes, stride = 4, 3, 4

    def forward(self, images):
        assert images.shape[2:] == (8, 16)
        return images[..., ::4, ::4]


def test_windows_need_not_be_square_nor_the_network_as_fine_as_the_image():
    images = torch.full((2, 3, 11, 37), 0.5)
    logits = run_sliding(Coarse(), images, Windows((8, 16), (3, 16)))
    torch.testing.assert_close(logits, images)
    assert [place[1:] for place in Windows((8, 16), (3, 16)).over((11, 37))] == [
        (slice(top, top + 8), slice(left, left + 16)) for top in (0, 3) for left in (0, 16, 21)]


def test_logits_are_averaged_not_probabilities():
    """Two windows, logits 0 and 4: their mean is 2, whatever the softmax of each."""
    images = torch.zeros(1, 3, 8, 12)
    images[:, 0, :, 8:] = 12
    logits = run_sliding(Recognise(), images, Windows((8, 8), (4, 4)))
    assert logits[0, 3, 0, 4:8].tolist() == [1.0] * 4  # means of 0 and of 12 / 3 / 2


def test_dense_labels_come_from_the_windows():
    images = torch.randn(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    windows = Windows((8, 8), (4, 8))
    output = Dense(Recognise(), windows=windows)(images, DEFAULTS, Stopwatch())
    want = run_sliding(Recognise(), images, windows)
    assert torch.equal(output.labels.long(), want.argmax(1))
