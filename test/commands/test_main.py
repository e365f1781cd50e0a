# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command and the package as somebody meets them first."""

from __future__ import annotations

import pytest

import sparse_seg_ros as ss
from sparse_seg_ros.commands import COMMANDS, main


def test_the_command_alone_shows_its_help(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith('usage: sparse_seg') and all(verb in text for verb in COMMANDS)


def test_it_tells_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['--version'])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f'sparse_seg {ss.__version__}\n'


def test_dir_of_the_package_is_its_public_api():
    assert {'load', 'evaluate', 'calibrate', 'train', 'export', 'frames'} <= set(dir(ss))
    assert all(getattr(ss, name) is not None for name in dir(ss))
