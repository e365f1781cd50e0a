# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""YAML from anywhere: read fast, and refused in a short sentence where it could grow."""

from __future__ import annotations

import pytest
import yaml

from sparse_seg_ros.yaml_files import Loader, read_yaml

LAUGHS = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{name}: &{name} [{", ".join(9 * [f"*{before}"])}]\n'
    for before, name in zip('abcdefg', 'bcdefgh'))


def write(folder, content):
    path = folder / 'my.yaml'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no settings file .*absent.yaml'):
        read_yaml(tmp_path / 'absent.yaml')


@pytest.mark.parametrize(('content', 'words'), [
    ('scale: [1, 2', 'my.yaml: not valid YAML: '),
    (LAUGHS, 'not valid YAML: aliases, such as *a, are refused; write the value out'),
    ('[' * 100_000, 'lists in lists more than 20 deep are refused'),
    ('scale: 1\nmethod: dense\nscale: 2\n', 'scale stands there twice'),
    (b'\xff\xd8\xff\xe0\x00\x10JFIF', 'not valid YAML'),
    ('date: 2026-99-99', 'not valid YAML: month must be in 1..12'),
    ('!!python/object/apply:os.system [ls]', 'could not determine a constructor'),
    ('x' * 2_000_000, 'must be at most 1 MiB; is it another kind of file?'),
    ('version https://git-lfs.github.com/spec/v1\noid sha256:1\n', 'fetch the file with `git lfs'),
], ids=['open', 'laughs', 'deep', 'twice', 'jpeg', 'date', 'python', 'large', 'pointer'])
def test_what_is_no_settings_file_is_refused_in_a_short_sentence(tmp_path, content, words):
    with pytest.raises(ValueError) as caught:
        read_yaml(write(tmp_path, content))
    assert words in str(caught.value) and len(str(caught.value)) < 700


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_files_of_windows_editors_are_read(tmp_path, encoding):
    path = write(tmp_path, 'name: Grünfläche\r\n'.encode(encoding))
    assert read_yaml(path) == {'name': 'Grünfläche'}


def test_the_loader_is_the_fast_one_where_there_is_one():
    assert issubclass(Loader, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
