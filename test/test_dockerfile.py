# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The container has what the package needs, and nothing of the checkout that it does not."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / 'Dockerfile').read_text()
FROM_APT = {'numpy': 'cv-bridge', 'opencv-python-headless': 'python3-opencv',
            'PyYAML': 'python3-yaml', 'tqdm': 'python3-tqdm', 'jinja2': 'python3-jinja2',
            'setuptools': 'python3-pip'}


def test_every_requirement_of_the_package_is_installed():
    required = [line for line in requires('sparse_seg_ros') or () if 'extra ==' not in line]
    names = {re.split(r'[ ;<>=!~]', line)[0] for line in required}
    assert {'torch', 'rosbags', 'backports.zstd', 'jinja2'} <= names
    words = {re.sub(r'[<>=].*', '', word.strip('\'"').replace('ros-${ROS_DISTRO}-', ''))
             for word in TEXT.split()}
    assert {FROM_APT.get(name, name) for name in names} <= words


def test_the_user_who_builds_owns_the_workspace():
    # A builder without BuildKit makes the folder of WORKDIR for root, whoever USER is.
    made, used = (re.search(line, TEXT, re.MULTILINE) for line in (
        r'^RUN .*install -d -o ros .*/home/ros/ws$', r'^WORKDIR /home/ros/ws$'))
    assert made and used and made.start() < TEXT.index('USER ros') < used.start()


def test_the_context_has_what_is_copied_and_leaves_out_what_is_large():
    ignored = (ROOT / '.dockerignore').read_text().split()
    assert {'.git', '.venv', 'runs', 'out'} <= {*ignored}
    assert not {'sparse_seg_ros', 'models', 'config', 'launch', 'resource'} & {*ignored}


@pytest.mark.skipif(shutil.which('hadolint') is None, reason='hadolint is not installed')
def test_hadolint_finds_no_fault():
    done = subprocess.run(['hadolint', '--failure-threshold', 'warning', 'Dockerfile'], cwd=ROOT,
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
