# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The names that a caller needs are public, cheap to import, and known to type checkers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sparse_seg_ros as ss

PUBLIC = {'load', 'Segmenter', 'Prediction', 'LabelSet', 'load_labels', 'frames', 'Frame',
          'Street', 'street_frames', 'evaluate', 'Report', 'Scores', 'calibrate', 'train',
          'TrainConfig', 'export', 'overlay'}
PACKAGE = Path(ss.__file__).parent


def test_dir_shows_the_public_names_and_no_others():
    assert {*dir(ss)} == PUBLIC | {'__version__'}


@pytest.mark.parametrize('name', sorted(PUBLIC))
def test_a_public_name_can_be_imported(name):
    assert getattr(ss, name).__name__ == name


def test_importing_the_package_or_listing_its_names_imports_no_torch():
    code = 'import sys, sparse_seg_ros; dir(sparse_seg_ros); print("torch" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=60, cwd=PACKAGE.parent)
    assert done.stdout == 'False\n', done.stderr


def test_type_checkers_know_the_same_names_from_the_same_modules():
    tree = ast.parse((PACKAGE / '__init__.py').read_text())
    known = {alias.asname: node.module for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module.startswith('sparse_seg_ros.')
            for alias in node.names}
    assert known == {name: f'sparse_seg_ros.{home}' for name, home in ss._HOME.items()}


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / 'py.typed').is_file()
    assert "'py.typed'" in (PACKAGE.parent / 'setup.py').read_text()


@pytest.mark.parametrize(('module', 'name'), [
    ('methods.sparse_refine', 'SparseRefiner'), ('methods', 'algm'), ('methods.algm', 'Merging'),
    ('networks.vit', 'SegmenterViT')])
def test_parts_can_be_imported_from_their_folder(module, name):
    scope = {}
    exec(f'from sparse_seg_ros.{module} import {name}', scope)
    home = importlib.import_module(f'sparse_seg_ros.{module}')
    assert scope[name] is getattr(home, name)
