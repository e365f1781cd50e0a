# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every plan of ALGM runs, from training to table, on few tiny scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation.ablation import read_plan
from sparse_seg_ros.methods.algm.settings import CONFIDENT_RULES
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.yaml_files import read_yaml

PLANS = sorted((Path(__file__).parents[2] / 'config/ablate').glob('algm_*.yaml'))
TINY = {'street_frames': 2, 'street_size_hw': [128, 256], 'crop_hw': [128, 128], 'batch_size': 2,
        'epochs': 1, 'precision': 'fp32'}


class NarrowSegmenter(SegmenterViT):
    """Segmenter with narrow blocks, as many as there are layers in the plans."""

    def __init__(self, num_classes: int):
        super().__init__(64, 16, 64, 9, 1, num_classes, 'linear')


@pytest.fixture(name='folder', scope='module')
def shared_folder(tmp_path_factory):
    """Return one folder for all plans: what they have in common is trained once, as in use."""
    return tmp_path_factory.mktemp('ablate')


def tiny_plan(path, folder):
    """
    Write a plan for few tiny scenes; what merges in it stays.

    An untrained network is sure of nothing, so tokens stop without confidence.
    """
    plan = read_yaml(path)
    for variant in plan['variants'].values():
        if variant.get('merge_rule') in CONFIDENT_RULES:
            variant['merge_confidence'] = variant['training']['merge_confidence'] = 0.0
        if 'seeds' in variant:
            variant['seeds'] = variant['seeds'][:2]
    plan |= {'streets': 1, 'size_hw': [128, 128], 'training': {**plan['training'], **TINY}}
    (folder / path.name).write_text(yaml.safe_dump(plan, sort_keys=False))
    return folder / path.name


@pytest.mark.parametrize('path', PLANS, ids=lambda path: path.stem)
def test_every_variant_of_a_plan_is_trained_and_measured(path, folder, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'segmenter_t', NarrowSegmenter)
    plan = tiny_plan(path, folder)
    assert main(['ablate', str(plan), '-o', str(folder), '--device', 'cpu',
                 '--precision', 'fp32']) == 0
    rows = json.loads((folder / f'{path.stem}.json').read_text())['rows']
    bases = {name: read_plan(plan).baseline_of(name) for name in read_plan(plan).variants}
    assert list(rows) == list(bases)
    is_reduced = {name: rows[name]['tokens'][-1] < 65
                  for name, base in bases.items() if name != base}
    assert any(is_reduced.values())
    assert all(is_reduced[name] for name in ('CTS', 'DToP', 'DoViT', 'PAUMER') if name in rows)
    for name, is_cheaper in is_reduced.items():
        if name != 'CTS':  # whose policy costs more than so narrow a network
            cost, base = (rows[one]['macs']['dense'] for one in (name, bases[name]))
            assert (cost < base) == is_cheaper, name
        assert not ('not reduced' in name and is_cheaper)
