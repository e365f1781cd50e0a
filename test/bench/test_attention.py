# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of LRFormer beside SegFormer: counted exactly, timed on tiny images."""

from __future__ import annotations

import pytest
from tiny import TinyLRFormer

from sparse_seg_ros.bench import attention, lrformer
from sparse_seg_ros.bench.segformer import SegFormer
from sparse_seg_ros.commands import main
from sparse_seg_ros.report import plots

pytest.importorskip('transformers')


def test_products_of_lrformer_are_those_of_its_table():
    for side, published in ((512, 0.8), (1024, 0.9), (1536, 1.1)):
        counted = attention.count_macs(attention.NETWORKS['lrformer_s'], side)
        assert counted['products'] == pytest.approx(published, abs=0.06)


def test_products_of_segformer_grow_with_the_square_of_the_pixels():
    small, large = (attention.count_macs(attention.NETWORKS['segformer_b2'], side)
                    for side in (256, 512))
    assert large['products'] == pytest.approx(16 * small['products'])
    # queries x keys x channels x 2, blocks, of the four stages
    assert large['products'] * 1e9 == pytest.approx(2 * sum(
        blocks * (512 // stride) ** 2 * 256 * width for blocks, stride, width in
        ((3, 4, 64), (4, 8, 128), (6, 16, 320), (3, 32, 512))))


def test_the_table_beside_the_paper_has_its_sizes_and_batches():
    line = attention.describe_row({
        'network': 'lrformer_s', 'side': 512, 'macs': 39.7, 'attention': 4.0, 'share': 0.1,
        'products': 0.76, 'published': 0.8, 'batch': attention.BATCHES[512], 'memory': 3.36,
        'published_memory': attention.PUBLISHED_MEMORY['lrformer_s', 512]})
    assert 'products   0.76 (paper 0.8) | training 2 at a time   3.4 GB (paper 4.2)' in line


def test_a_run_tells_times_and_exponents_and_can_be_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(attention, 'NETWORKS', {
        'lrformer_t': lambda: TinyLRFormer(19), 'segformer_b2': lambda: SegFormer(
            'segformer_b1', 19)})
    figures = attention.run((32, 64), repeats=1, precision='fp32', device='cpu')
    timed = [row for row in figures['rows'] if 'seconds' in row]
    assert len(timed) == 4 and all(0 < row['time_share'] < 1 for row in timed)
    assert all(row['memory'] > 0 and row['batch'] == 1 for row in figures['rows'])
    assert set(figures['exponents']) == {'lrformer_t', 'segformer_b2'}
    assert 'time grows with pixels **' in attention.describe(figures)
    assert capsys.readouterr().out == ''
    pytest.importorskip('matplotlib')
    plots.plot_attention(figures, tmp_path / 'attention.png')
    assert (tmp_path / 'attention.png').stat().st_size > 10_000


def test_pairs_are_timed_in_turns(capsys, monkeypatch):
    monkeypatch.setattr(lrformer, 'PAIRS', {'lrformer_t': 'segformer_b1'})
    monkeypatch.setattr(lrformer, 'native_precisions', lambda: ('fp32', 'bf16'))
    figures = lrformer.run((32, 64), repeats=1, device='cpu')
    assert [row['precision'] for row in figures['rows']] == ['fp32', 'bf16']
    row = figures['rows'][0]
    assert row['ratio'] == row['rival_seconds'] / row['seconds']
    assert 'faster than segformer_b1' in lrformer.describe(figures)
    assert capsys.readouterr().out == ''
    figures = lrformer.run((32, 64), repeats=1, precision='fp32', device='cpu')
    assert [row['precision'] for row in figures['rows']] == ['fp32']


@pytest.mark.parametrize('bench', ['attention', 'networks'])
def test_a_device_that_is_none_is_refused_in_a_sentence(bench, capsys):
    assert main(['bench', bench, '--device', 'gpu']) == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and "device must be auto, cpu, cuda or cuda:N, got 'gpu'" in said
