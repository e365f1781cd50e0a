# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The predicted floors: counts against those of the cost model, times against arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import street_image, tiny_model, tiny_refined_by_network
from torch import nn

from sparse_seg_ros.bench import floors
from sparse_seg_ros.bench.floors import Chip, Step
from sparse_seg_ros.commands import options
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.zoo import load
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.sparse.level import Level

RECORDED = Path(__file__).resolve().parents[2] / 'bench/results/floors.json'


def some_sites(height=32, width=48, density=0.2):
    return torch.rand(1, height, width, generator=torch.Generator().manual_seed(0)) < density


@pytest.fixture(name='method', scope='module')
def build_method():
    return assemble(tiny_refined_by_network(), SparseRefineConfig(), 'cpu', 'fp32', {}).method


@pytest.mark.parametrize('density', [0.0, 0.02, 0.3, 1.0])
def test_products_are_those_of_the_cost_model(method, density):
    refined = some_sites(density=density).repeat_interleave(2, 1).repeat_interleave(2, 2)
    stages, want = floors.count(method, refined), method.count_macs((64, 96), refined)
    got = {name: sum(step.macs for step in stages[name]) for name in want}
    assert got['extract'] == want['extract'] and got['ensemble'] == want['ensemble']
    averaging = 1280 * 2 * 3  # of the last map, a product in the cost model
    assert got['dense'] == want['dense'] - averaging
    assert set(stages) == set(floors.STAGES)


def test_a_dense_convolution_moves_inputs_weights_and_outputs():
    layers = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 2, 1, stride=2))
    assert floors.dense(layers, 4, 8, 10) == [
        Step(2 * (4 * 80 + 9 * 24 + 6 * 80), 9 * 24 * 80), Step(2 * (6 * 80 + 12 + 2 * 20), 240)]


def test_a_sparse_convolution_moves_its_sites_and_its_table():
    level = Level(torch.ones((1, 2, 2), dtype=torch.bool))  # each of four sites meets all four
    layer = nn.Conv2d(3, 5, 3)
    assert floors.convolution(layer, level, level) == Step(
        2 * (4 * 3 + 4 * 5 + 9 * 15) + 4 * 9 * 4, 16 * 15)
    assert floors.convolution(layer, level, level, adds=True).moved == \
        floors.convolution(layer, level, level).moved + 2 * 4 * 5
    assert floors.pointwise(nn.Conv2d(3, 5, 1), 7) == Step(2 * (7 * 8 + 15), 105)


def test_a_strided_one_reads_the_finer_level():
    fine = Level(some_sites(8, 8, 0.5), padding=1)
    step = floors.convolution(nn.Conv2d(3, 5, 3), fine, fine.coarser)
    assert step.macs == int((fine.down.parts[0].table < len(fine)).sum()) * 15
    assert step.moved == 2 * (3 * len(fine) + 5 * len(fine.coarser) + 135) + \
        36 * len(fine.coarser)


def test_the_tables_of_a_level_are_written_once():
    sites = torch.ones(1, 32, 32, dtype=torch.bool)
    levels, moved = floors.levels_of(sites), [step.moved for step in floors.tables(sites)]
    for level, (ranks, places, near) in zip(levels, zip(*[iter(moved)] * 3)):
        assert ranks == 5 * level.mask.numel()
        assert places == ranks + (4 + 8 + 24 + 4) * len(level)  # rank, flat, sites, parities
        assert near == 4 * level.neighbours.parts[0].table.numel() + (24 + 4) * len(level)
    for level, coarser, (there, ranks, back) in zip(
            levels, levels[1:], zip(*[iter(moved[3 * len(levels):])] * 3)):
        assert there == 4 * level.down.parts[0].table.numel() + 24 * len(coarser) + 4 * len(level)
        entries = sum(part.table.numel() for part in level.down.adjoint.parts)
        assert ranks == 20 * len(level)
        assert back == 4 * (entries + len(coarser) + 4 * len(level)) + (8 + 24) * len(level)
    assert floors.tables(torch.zeros_like(sites)) == [Step(0)]


@pytest.mark.parametrize(('step', 'milliseconds'), [
    (Step(1000, 1), 500.0), (Step(1000, 4000), 2000.0), (Step(0, 0, 100), 1000.0), (Step(0), 0)])
def test_the_longest_of_moving_multiplying_and_sending_counts(step, milliseconds):
    assert Chip(memory=2000, operations=4000, link=100).milliseconds(step) == milliseconds


def test_a_stage_takes_the_sum_of_its_layers():
    figures = {'chips': {'one': [1e6, 2e6, 1e6]}, 'stages': {
        'dense': [[3000, 1000, 0], [0, 5000, 0]], 'download': [[0, 0, 7000]]}}
    assert list(floors.rows(figures)) == [
        ('dense', 3000, 0, 12000, {'one': 8.0}), ('download', 0, 7000, 0, {'one': 7.0}),
        ('total', 3000, 7000, 12000, {'one': 15.0})]


def test_the_image_and_the_results_cross_the_link(method):
    stages = floors.count(method, torch.zeros(1, 64, 96, dtype=torch.bool))
    assert sum(step.linked for step in stages['upload']) == 3 * 64 * 96
    assert sum(step.linked for step in stages['download']) == 6 * 64 * 96
    assert stages['extract'] == [Step(0)]


@pytest.mark.parametrize('config', [SparseRefineConfig(), DenseConfig(method='dense')],
                         ids=['unet', 'dense'])
def test_other_methods_are_refused(config):
    segment = assemble(tiny_model(refines=config.method != 'dense'), config, 'cpu', 'fp32', {})
    with pytest.raises(ValueError, match="with the extractor 'network', got"):
        floors.run(segment, street_image())


@pytest.fixture(name='recorded', scope='module')
def read_recorded():
    return json.loads(RECORDED.read_text())


def test_what_the_document_concludes_holds(recorded):
    rows = {row[0]: row for row in floors.rows(recorded)}
    for name, (memory, operations, _) in recorded['chips'].items():
        for stage, moved, _, total, _ in rows.values():
            assert moved / memory >= total / operations, (name, stage)
        steps = [Step(*step) for stage in ('dense', 'extract')
                 for step in recorded['stages'][stage]]
        bound = [step for step in steps if step.moved / memory >= 2 * step.macs / operations]
        assert len(bound) == pytest.approx(0.9 * len(steps), rel=0.02)
    linked, (_, _, link) = rows['total'][2], recorded['chips']['H200']
    assert 1e3 * linked / link > rows['dense'][4]['H200'] + rows['extract'][4]['H200']


def test_most_of_what_the_extractor_moves_does_not_depend_on_the_density(recorded):
    one = torch.zeros((1, *recorded['size_hw']), dtype=torch.bool)
    one[:, :2, :2] = True
    least = sum(step.moved for step in floors.count(load('demo', 'cpu', 'fp32').method,
                                                    one)['extract'])
    assert least > 0.6 * sum(step[0] for step in recorded['stages']['extract'])


def test_what_is_recorded_is_what_the_demo_does(recorded):
    image, _ = next(iter(options.labelled_frames(None, 1, 'x'.join(
        map(str, recorded['size_hw'])))))
    figures = floors.run(load('demo', 'cpu', 'fp32'), image)
    assert figures['chips'] == recorded['chips']
    assert figures['density'] == pytest.approx(recorded['density'], rel=0.01)
    for got, want in zip(floors.rows(figures), floors.rows(recorded)):
        assert got[0] == want[0]
        assert got[1:4] == pytest.approx(want[1:4], rel=0.01)  # rounding may select other pixels
        assert got[4] == pytest.approx(want[4], rel=0.01)
