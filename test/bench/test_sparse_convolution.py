# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of sparse convolution, on a small image."""

from __future__ import annotations

import pytest
import torch

from sparse_seg_ros.bench.sparse_convolution import street_selection, time_convolution


def test_selection_is_as_dense_as_asked_and_made_of_aligned_blocks():
    selected = street_selection((128, 256), 0.12)
    assert selected.float().mean().item() == pytest.approx(0.12, abs=1e-3)
    blocks = selected.view(64, 2, 128, 2)
    assert torch.equal(blocks.any(1).any(2), blocks.all(1).all(2))


def test_a_row_names_rivals_and_ratios(capsys):
    row = time_convolution(street_selection((128, 256), 0.12), 4, 'fp32', repeats=1)
    assert row['ratio']['dense'] == row['seconds']['dense'] / row['seconds']['sparse']
    assert 'faster than dense' in capsys.readouterr().out
