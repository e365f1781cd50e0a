# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: every pixel is seen, and seen logits are averaged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_seg_ros.networks.sliding import run_sliding, starts


class Recognise(nn.Module):
    """Logits: the image itself, and the mean of what the network was shown."""

    multiple, num_classes = 4, 4

    def forward(self, images):
        assert images.shape[2:] == (8, 8)
        mean = images.mean((1, 2, 3), keepdim=True).expand(-1, 1, 8, 8)
        return torch.cat((images, mean), 1)


@pytest.mark.parametrize('size', [(8, 8), (8, 20), (19, 30), (5, 12), (3, 1)], ids=str)
@pytest.mark.parametrize('step', [3, 8])
def test_every_pixel_gets_its_own_logits(size, step):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    logits = run_sliding(Recognise(), images, 8, step)
    assert logits.shape == (2, 4, *size)
    torch.testing.assert_close(logits[:, :3], images)


def test_overlapping_windows_are_averaged():
    images = torch.zeros(1, 3, 8, 12)
    images[..., 8:] = 1  # the windows, at 0 and at 4, have means of 0 and 0.5
    logits = run_sliding(Recognise(), images, 8, 8)
    assert logits[0, 3, 0].tolist() == [0] * 4 + [0.25] * 4 + [0.5] * 4


def test_the_last_window_ends_with_the_image():
    assert starts(20, 8, 8) == [0, 8, 12]
    assert starts(16, 8, 8) == [0, 8] and starts(8, 8, 8) == [0]


@pytest.mark.parametrize(('window', 'step'), [(6, 4), (8, 0), (8, 9)])
def test_windows_that_leave_gaps_or_do_not_fit_are_refused(window, step):
    with pytest.raises(ValueError, match='window must be a multiple of 4 and step from 1 to the '
                                         f'window, got {window} and {step}; the paper'):
        run_sliding(Recognise(), torch.zeros(1, 3, 8, 8), window, step)
