# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every plan of config/ablate runs in miniature, from its trainings to its table."""

from __future__ import annotations

import json

import pytest
import yaml
from tiny import TinyLRFormer

from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation.ablation import read_plan
from sparse_seg_ros.files import share
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.training.variants import Trainings
from sparse_seg_ros.yaml_files import read_yaml

PLANS = [path for path in sorted((share() / 'config/ablate').glob('*.yaml'))
         if not path.stem.startswith('algm')]  # which has a test of its own
SMALL = {'splits': [], 'street_frames': 2, 'street_size_hw': [96, 128], 'crop_hw': [64, 64],
         'epochs': 1, 'batch_size': 2, 'precision': 'fp32', 'validation': None}
DEEP_HW = [256, 256]  # eight stages need 255 pixels


def shrunken(training: dict) -> dict:
    """Return a variant's own training for small images; what is no size stays."""
    small = dict(training)
    if 'patch' in training:
        small['patch'] = 32
    small.pop('crop_hw', None)
    small.pop('splits', None)
    if len(training.get('planes', ())) > 6:
        small |= {'crop_hw': [*DEEP_HW], 'street_size_hw': [*DEEP_HW]}
    return small


@pytest.mark.parametrize('path', PLANS, ids=lambda path: path.stem)
def test_a_plan_runs(path, tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)
    plan = read_yaml(path)
    if 'mask2former' in path.read_text():
        tiny = pytest.importorskip('hugging_face').TinyMask2Former
        monkeypatch.setitem(NETWORKS, 'mask2former_swin_t', tiny)
    Trainings(read_plan(path).variants, tmp_path, 'cpu')  # reads the settings of all
    trained = [name for name, values in plan['variants'].items() if 'train' in values]
    starts = [values.get('training', {}).get('start_from') for values in plan['variants'].values()]
    for name in trained[1:-1]:  # they differ from the others by numbers
        if name not in (plan.get('baseline'), *starts) and 'method' not in plan['variants'][name]:
            del plan['variants'][name]
    is_deep = any(len(values.get('training', {}).get('planes', ())) > 6
                  for values in plan['variants'].values())
    for values in plan['variants'].values():
        if 'train' in values:
            values['training'] = shrunken(values.get('training', {}))
            values['seeds'] = values.get('seeds', [])[:1]
    plan |= {'data': None, 'streets': 1, 'size_hw': [*DEEP_HW] if is_deep else [96, 128],
             'training': {**plan.get('training', {}), 'patch': 32, **SMALL}}
    (tmp_path / path.name).write_text(yaml.safe_dump(plan, sort_keys=False))
    main(['ablate', str(tmp_path / path.name), '-o', str(tmp_path / 'out'), '--device', 'cpu',
          '--precision', 'fp32'])
    rows = json.loads((tmp_path / 'out' / f'{path.stem}.json').read_text())['rows']
    assert {name: row['error'] for name, row in rows.items() if 'error' in row} == {}
    assert len(rows) >= len(plan['variants'])
