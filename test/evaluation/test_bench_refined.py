# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of published networks under SparseRefine: what it counts and what is refined."""

from __future__ import annotations

import torch

from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation import bench_refined


def test_entropy_falls_with_the_distance_to_an_edge():
    label = torch.zeros(64, 64, dtype=torch.uint8)
    label[:, 32:] = 3
    logits = bench_refined.unsure_at_edges(label, torch.Size((1, 5, 64, 64)))
    entropy = -(logits.exp() * logits).sum(1)[0]
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(1, 64, 64))
    assert (logits.argmax(1)[0] == label).all()
    assert entropy[:, 31].min() > entropy[:, 20].max() > entropy[:, 0].max()


def test_a_row_counts_both_networks_and_the_pixels_refined():
    row = bench_refined.measure('segnext_l', (128, 256), repeats=3, precision='fp32')
    assert row['parameters'] == 48_792_275 + 79_340_456  # the paper's 128.1 M
    assert abs(row['density'] - bench_refined.DENSITY) < 0.02
    assert row['macs_low'] < row['macs_refined'] < row['macs_full'] + row['macs_low']
    assert row['total'] > row['extract'] > 0 and row['full'] > row['dense'] * 0.5


def test_a_network_outside_the_table_is_refused(capsys):
    assert main(['bench', 'refined', '--networks', 'segnext_m']) != 0
    assert 'is not in the table' in capsys.readouterr().err
