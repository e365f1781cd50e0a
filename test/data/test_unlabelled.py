# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames without labels: folders and lists of pictures, told apart from labelled ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from miniature_trees import make_tree

from sparse_seg_ros.data.unlabelled import find_unlabelled

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture(name='folder')
def folder_of_pictures(tmp_path):
    for name in ('b c.PNG', 'a.jpg', 'label.png'):
        cv2.imwrite(str(tmp_path / name), IMAGE[..., ::-1])
    (tmp_path / 'licence').write_text('mine')
    return tmp_path


def names(split):
    return [path.name for path in find_unlabelled(split).paths]


def test_a_folder_gives_its_pictures_with_labels_of_void(folder):
    found = find_unlabelled(folder)
    assert names(folder) == ['a.jpg', 'b c.PNG', 'label.png'] and len(found) == 3
    image, label = found[1]
    assert np.array_equal(image, IMAGE)
    assert label.shape == (6, 8) and label.dtype == np.uint8 and (label == 255).all()


def test_a_list_of_pictures_alone_has_no_labels(folder):
    (folder / 'list.txt').write_text('"b c.PNG"\n\n a.jpg\nb c.PNG\n')
    assert names(folder / 'list') == names(folder / 'list.txt') == ['b c.PNG', 'a.jpg', 'b c.PNG']


@pytest.mark.parametrize('text', ['a.jpg label.png\n', '', 'absent.jpg\n'])
def test_another_list_is_left_to_who_reads_labels(folder, text):
    (folder / 'list.txt').write_text(text)
    assert find_unlabelled(folder / 'list') is None
    assert find_unlabelled(folder / 'absent') is None


def test_a_list_goes_before_the_folder_of_its_name(folder):
    (folder / 'train').mkdir()
    (folder / 'train.txt').write_text('a.jpg\n')
    assert names(folder / 'train') == ['a.jpg']


@pytest.mark.parametrize('line', ['b c.PNG label.png', 'absent.jpg'])
def test_a_list_that_changes_its_mind_is_refused(folder, line):
    (folder / 'list.txt').write_text(f'a.jpg\n{line}\n')
    with pytest.raises(ValueError, match=f"list.txt: expected one picture a line, .* got '{line}"):
        find_unlabelled(folder / 'list')


def test_a_data_set_is_labelled(tmp_path):
    assert find_unlabelled(make_tree('ade20k', tmp_path)) is None


def test_a_folder_without_pictures_is_refused(folder):
    (folder / 'train').mkdir()
    with pytest.raises(ValueError, match=r'train holds no pictures \(.jpg, .jpeg, .png\); name a'):
        find_unlabelled(folder / 'train')
