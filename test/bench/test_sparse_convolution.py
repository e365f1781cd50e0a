# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of sparse convolution, on a small image."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.bench import sparse_convolution
from sparse_seg_ros.bench.sparse_convolution import street_selection, time_convolution


def test_selection_is_as_dense_as_asked_and_made_of_aligned_blocks():
    selected = street_selection((128, 256), 0.12)
    assert selected.float().mean().item() == pytest.approx(0.12, abs=1e-3)
    blocks = selected.view(64, 2, 128, 2)
    assert torch.equal(blocks.any(1).any(2), blocks.all(1).all(2))


def test_a_row_names_rivals_and_ratios():
    selected = street_selection((128, 256), 0.12)
    row = time_convolution(selected, 4, 'fp32', repeats=1)
    assert row['ratio']['dense'] == row['seconds']['dense'] / row['seconds']['sparse']
    inner = F.pad(torch.ones(1, 1, 128, 256), (1, 1, 1, 1))
    neighbours = F.conv2d(inner, torch.ones(1, 1, 3, 3))[0]  # of each pixel, all selected
    active = F.conv2d(F.pad(selected[None].float(), (1, 1, 1, 1)), torch.ones(1, 1, 3, 3))[0]
    share = active[selected].sum() / neighbours.sum()
    assert row['of_dense_rate'] == pytest.approx(float(share) * row['ratio']['dense'], rel=1e-6)
    assert 'faster than dense' in sparse_convolution.describe_row(row)


def test_a_run_measures_and_its_text_is_made_of_the_figures(monkeypatch, capsys):
    monkeypatch.setattr(sparse_convolution, 'CHANNELS', (4,))
    monkeypatch.setattr(sparse_convolution, 'native_precisions', lambda: ('fp32',))
    figures = sparse_convolution.run(1, (64, 96))
    assert capsys.readouterr().out == ''
    assert 'dense' in figures['extractors'][0]['ratio']
    text = sparse_convolution.describe(json.loads(json.dumps(figures))).splitlines()
    assert text[0].startswith('12% of 64x96, median of 1, cpu, ') and text[0].endswith(' fp32')
    assert text[-2].startswith('conv 3x3    4 fp32') and text[-1].startswith('extractor fp32')
