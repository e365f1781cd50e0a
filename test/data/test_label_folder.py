# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels in a folder belong to the frames of pictures, videos and bags by their names."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.label_folder import LabelFolder, LabelledFrames


def frame(name: str) -> Frame:
    return Frame(f'somewhere/{name}', lambda: np.zeros((4, 6, 3), np.uint8), name=name)


def write_labels(folder, *names) -> LabelFolder:
    folder.mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((4, 6), number, np.uint8))
    return LabelFolder(folder)


@pytest.mark.parametrize(('name', 'file'), [
    ('street', 'street.png'), ('street', 'street_ids.png'), ('street', 'street_gt.png'),
    ('drive_000012', 'drive_000012_ids.png'), ('drive_000012', '000012.png'),
    ('1700000000123456789', '1700000000123456789.png'),
    ('1700000000023456789', '1700000000.023456789.png'),
    ('5000000001', '5_000000001_mask.png'),
    ('1700000000_123456789', '1700000000_123456789.png'), ('0001_L', '0001_L.png'),
    ('0001_mask', '0001_mask_ids.png')])
def test_a_label_is_found_by_the_name_of_its_frame(tmp_path, name, file):
    labels = write_labels(tmp_path / 'a b', '0.png', file)
    found = list(LabelledFrames([frame('other'), frame(name)], labels))
    assert [each.name for each in found] == [name]
    assert (found[0].label() == 1).all()


def test_frames_without_a_label_are_kept_where_all_are_wanted(tmp_path):
    labels = write_labels(tmp_path / 'labels', 'b.png')
    found = LabelledFrames([frame('a'), frame('b')], labels, keeps_all=True)
    assert [each.label() is None for each in found] == [True, False]


def test_labels_that_fit_no_frame_are_named(tmp_path):
    frames = LabelledFrames([frame('a')], write_labels(tmp_path / 'labels', 'a.png', 'c.png'))
    assert len(list(frames)) == 1
    assert frames.notes == [f"1 of 2 labels in {tmp_path / 'labels'} fit no frame, such as c.png"]


def test_if_no_label_fits_the_names_that_were_expected_are_told(tmp_path):
    frames = LabelledFrames([frame('a')], write_labels(tmp_path / 'labels', 'c.png'))
    with pytest.raises(ValueError, match=r'fits one of 1 frames; expected names such as a\.png, '
                                         r'got c\.png'):
        list(frames)


def test_a_label_of_two_frames_and_two_labels_of_one_frame_are_refused(tmp_path):
    frames = LabelledFrames([frame('a'), frame('a')], write_labels(tmp_path / 'one', 'a.png'))
    with pytest.raises(ValueError, match=r'a\.png fits somewhere/a and a frame before it'):
        list(frames)
    with pytest.raises(ValueError, match=r'are labels of one frame, a; remove one'):
        write_labels(tmp_path / 'two', 'a.png', 'a_ids.png')


def test_a_labels_yaml_tells_classes_and_colours(tmp_path):
    folder = tmp_path / 'labels'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), np.full((4, 6, 3), (0, 0, 255), np.uint8))  # BGR
    (folder / 'labels.yaml').write_text(
        'classes: {road: [0, 255, 0], car: [255, 0, 0]}\n'
        'files:\n  masks:\n    colors: own\n    void: []\n')
    labels = LabelFolder(folder)
    assert labels.classes == ('road', 'car')
    assert (labels.read(folder / 'a.png') == 1).all()


@pytest.mark.parametrize(('make', 'error', 'words'), [
    (False, FileNotFoundError, 'no folder of labels'), (True, ValueError, 'holds no labels')])
def test_a_folder_without_labels_is_refused(tmp_path, make, error, words):
    if make:
        (tmp_path / 'labels').mkdir()
    with pytest.raises(error, match=words):
        LabelFolder(tmp_path / 'labels')
