# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of published networks under SparseRefine: what it counts and what is refined."""

from __future__ import annotations

import pytest
import torch

from sparse_seg_ros.bench import paper_networks
from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation.published import BOARDS, PUBLISHED, Published, latency


def test_entropy_falls_with_the_distance_to_an_edge():
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[0, :, 32:] = 3
    labels[1, 32:] = 2
    logits = paper_networks.unsure_at_edges(labels, torch.Size((2, 5, 64, 64)))
    entropy = -(logits.exp() * logits).sum(1)
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(2, 64, 64))
    assert (logits.argmax(1) == labels).all()
    assert entropy[0, :, 31].min() > entropy[0, :, 20].max() > entropy[0, :, 0].max()
    assert entropy[1, 31].min() > entropy[1, 20].max() > entropy[1, 0].max()


@pytest.fixture(scope='module')
def row():
    return paper_networks.measure('segnext_l', paper_networks.Setting((64, 128), 2, repeats=1))


def test_a_row_counts_both_networks_and_the_pixels_refined(row):
    assert row['parameters'] == {'network': 48_792_275, 'refiner': 79_340_456}  # paper: 128.1 M
    assert abs(row['density'] - PUBLISHED['segnext_l'].density) < 0.02
    assert row['macs']['low'] < row['macs']['refined'] < row['macs']['full'] + row['macs']['low']


def test_the_shares_of_a_frame_are_all_of_it(row):
    shares = paper_networks.shares(row['milliseconds'])
    assert sum(shares) == pytest.approx(1) and min(shares) > 0


def test_the_paper_stands_beside_what_is_measured_at_its_batches_only(row):
    def last_cells(batch, precision):
        figures = {'batch': batch, 'precision': precision, 'rows': {'segnext_l': row}}
        return paper_networks.markdown(figures).splitlines()[-1].strip('| ').split(' | ')[-4:]
    assert last_cells(4, 'bf16') == ['86.3, 33.6, 49.1', '1.76', '539.1, 202.7, 266.2', '2.03']
    assert last_cells(8, 'fp32') == ['134.2, 52.7, 80.9', '1.66', '-', '-']
    assert last_cells(3, 'fp32') == ['-', '-', '-', '-']


def test_the_text_has_a_line_and_a_row_of_each_network(row):
    lines = paper_networks.describe({
        'size_hw': [64, 128], 'batch': 2, 'repeats': 1, 'precision': 'fp32',
        'torch_device': 'cpu', 'threads': 2, 'rows': {'segnext_l': row}}).splitlines()
    assert lines[0] == ('streets 64x128, batches of 2, fp32, median of 1, cpu, 2 threads; '
                        'ms a frame')
    assert lines[1].startswith('segnext_l: ') and lines[-1].startswith('| segnext_l | ')


def test_the_paper_ran_out_of_memory_where_it_says_so():
    paper = latency('RTX 3090', 'mask2former_swin_l', 8, 'fp32')
    assert paper.full is None and paper.ratio is None and paper.refined == 169.6


@pytest.mark.parametrize('board', BOARDS)
@pytest.mark.parametrize('name', PUBLISHED)
def test_refining_is_always_faster_in_the_paper(board, name):
    for precision in ('fp16', 'fp32'):
        for batch in (1, 2, 4):
            paper = latency(board, name, batch, precision)
            assert paper.low < paper.refined < paper.full


def test_a_network_outside_the_table_is_refused(capsys):
    assert main(['bench', 'refined', '--networks', 'segnext_m']) != 0
    assert 'is not in the table' in capsys.readouterr().err


@pytest.mark.parametrize('option', ['--batch', '--warm-up', '--repeats'])
def test_a_batch_or_rounds_of_nothing_are_refused(option, capsys):
    assert main(['bench', 'refined', option, '0']) != 0
    assert f'{option} must be at least 1' in capsys.readouterr().err


def test_rounds_that_warm_up_are_not_timed(monkeypatch):
    rounds = iter(range(1, 9))  # each calls both methods

    def clocked(method, images, request):
        spent = float(next(rounds))
        return {'dense': spent, 'total': spent}
    monkeypatch.setattr(paper_networks, 'clocked', clocked)
    monkeypatch.setitem(PUBLISHED, 'compact', Published(0.5, 0.1, 1.0, (4, 8)))
    row = paper_networks.measure('compact', paper_networks.Setting(
        (64, 128), repeats=1, warm_up=3))
    assert (row['milliseconds']['total'], row['full']) == (7, 8)
