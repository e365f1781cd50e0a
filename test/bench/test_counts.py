# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters and multiply-adds beside those that the papers print."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparse_seg_ros.bench import counts
from sparse_seg_ros.commands import main
from sparse_seg_ros.networks import build_network

MEASURED = Path(__file__).parents[2] / 'bench/results/counts.json'
APART = {  # rows whose multiply-adds are not within 4 % of the printed ones; the documents say why
    ('lrformer_table_3', 'segformer_b3'), ('lrformer_table_6', 'lrformer_t_classifier'),
    ('lrformer_table_6', 'lrformer_l_classifier'), ('lrformer_table_13', 'lrformer_plus_t'),
    ('lrformer_table_13', 'lrformer_plus_xl')}


@pytest.fixture(name='small')
def few_rows(monkeypatch):
    """Leave the smallest network of two tables."""
    tables = {name: replace(counts.TABLES[name], rows=tuple(
        row for row in counts.TABLES[name].rows if row.network in ('lrformer_t', 'segmenter_t')))
        for name in ('lrformer_table_4', 'algm_table_1')}
    monkeypatch.setattr(counts, 'TABLES', tables)


def test_a_row_has_what_its_network_has(small):
    row = counts.run(['lrformer_table_4'])['rows'][0]
    assert (row['network'], row['size_hw'], row['num_classes']) == ('lrformer_t', [512, 512], 171)
    network = build_network('lrformer_t', 171)
    assert row['counted_parameters'] == sum(map(torch.Tensor.numel, network.parameters()))
    assert row['counted_macs'] / 1e9 == pytest.approx(16.6, abs=0.05)


def test_the_command_draws_each_table_and_writes_the_figures(small, tmp_path, capsys):
    assert main(['bench', 'counts', '--json', str(tmp_path / 'counts.json')]) == 0
    text = capsys.readouterr().out
    assert 'lrformer_table_4: COCO-Stuff, mIoU, 171 classes' in text
    assert '| lrformer_t | 512x512 | 17 | 16.6 | -3 | 13 | 13.3 | 43.9 |' in text
    assert '| segmenter_t | 512x512 | 12.8 | 12.6 | -1 | - | 6.9 | 38.1 |' in text
    assert len(json.loads((tmp_path / 'counts.json').read_text())['rows']) == 2


def test_a_table_without_counts_is_refused():
    with pytest.raises(ValueError, match="no counts for table 'lrformer_table_8'; did you mean"):
        counts.run(['lrformer_table_8'])


def test_the_figures_of_the_documents_are_of_these_tables_and_near_the_papers():
    rows = json.loads(MEASURED.read_text())['rows']
    printed = [(name, row.network, row.macs, row.parameters, row.score)
               for name, table in counts.TABLES.items() for row in table.rows]
    assert [(row['table'], row['network'], row['macs'], row['parameters'], row['score'])
            for row in rows] == printed
    apart = {(row['table'], row['network']) for row in rows if row['macs'] is not None
             and abs(row['counted_macs'] / 1e9 - row['macs']) > 0.04 * row['macs']}
    assert apart == APART
    for row in rows:
        if row['parameters'] is not None:
            assert row['counted_parameters'] / 1e6 == pytest.approx(
                row['parameters'], rel=0.055, abs=0.5)
