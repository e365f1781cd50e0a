# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor tells what is there, what is not, and the cure."""

from __future__ import annotations

import importlib
import json

import pytest
from tiny import tiny_model

from sparse_seg_ros import doctor
from sparse_seg_ros.commands import main
from sparse_seg_ros.loading import zoo
from sparse_seg_ros.loading.checkpoints import save_model


def test_this_machine_can_run_the_demo_model(tmp_path, capsys):
    assert main(['doctor', '--json', str(tmp_path / 'found.json')]) == 0
    found = {entry['name']: entry for entry in json.loads((tmp_path / 'found.json').read_text())}
    assert found['python']['is_fine'] and found['torch']['is_fine']
    assert found['demo model']['detail'].startswith('demo.safetensors loads')
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*doctor.PACKAGES, 'machine', 'arithmetic', 'ros'))


def test_a_missing_package_is_named_with_its_use_and_cure(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError(f'No module named {name!r}')
    monkeypatch.setattr(importlib, 'import_module', refuse)
    finding = doctor.package('cv_bridge')
    assert finding.is_fine is False and "No module named 'cv_bridge'" in finding.detail
    assert finding.cure == 'sudo apt install ros-$ROS_DISTRO-cv-bridge'


def test_a_damaged_demo_model_fails_the_examination(monkeypatch, capsys):
    def refuse(name):
        raise ValueError('models/demo.safetensors is not the file that models/zoo.yaml names')
    monkeypatch.setattr(zoo, 'load', refuse)
    assert main(['doctor']) == 1
    assert '--  demo model    models/demo.safetensors is not the file' in capsys.readouterr().out


@pytest.mark.parametrize(('value', 'is_fine', 'text'), [
    (None, False, 'best-effort images above 0.5 MB are lost'),
    ('/nowhere/profile.xml', False, 'profile /nowhere/profile.xml does not exist'),
    (__file__, True, f'profile {__file__}'),
])
def test_the_profile_for_large_images_is_looked_for(monkeypatch, value, is_fine, text):
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE', raising=False)
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    if value:
        monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', value)
    finding = doctor.large_images()
    assert finding.is_fine is is_fine and text in finding.detail


@pytest.mark.parametrize(('model', 'present', 'absent'), [
    ({'refines': False}, {'network', 'mean', 'temperature'}, {*doctor.OF_REFINERS}),
    ({}, {'planes', 'inputs', 'alpha', 'selector', 'refined_by'}, {'patch'}),
])
def test_a_model_is_described_by_what_it_has(tmp_path, model, present, absent):
    save_model(tiny_model(**model), tmp_path / 'model.safetensors')
    names = {finding.name for finding in doctor.examine_model(f'{tmp_path}/model.safetensors')}
    assert present <= names and not absent & names
