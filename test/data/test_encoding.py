# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the pixels of label files mean is read from a label set, and checked."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from sparse_seg_ros.data.encoding import load_encoding
from sparse_seg_ros.files import share
from sparse_seg_ros.labels import find_labels, load_labels

CLASSES = 'classes: {soil: [90, 60, 30], weed: [200, 0, 0]}\n'
SETS = sorted(path.stem for path in (share() / 'config/labels').glob('*.yaml'))


@pytest.mark.parametrize('name', SETS)
def test_each_form_of_each_set_that_ships_means_every_class(name):
    content = yaml.safe_load((share() / f'config/labels/{name}.yaml').read_text())
    for form in content.get('files', ()):
        values = load_encoding(name, form).values.values()
        assert {*values} - {255} == {*range(len(load_labels(name)))}


def test_cityscapes_ids_are_those_of_its_scripts():
    labels = pytest.importorskip('cityscapesscripts.helpers.labels').labels
    names = load_labels('cityscapes').names
    values = load_encoding('cityscapes', 'labelIds').values
    assert values == {label.id: names.index(label.name) if label.trainId in range(19) else 255
                      for label in labels if label.id >= 0}


@pytest.mark.parametrize(('value', 'name'), [(29, 'grass'), (30, 'grass'), (32, 'water')])
def test_ids_of_rellis_that_its_makers_count_to_a_class_belong_to_it(value, name):
    number = load_labels('rellis').names.index(name)
    assert load_encoding('rellis').values[value] == number


def test_sets_that_share_classes_are_told_by_the_first_of_them():
    assert load_labels('kitti').names == load_labels('cityscapes').names
    assert find_labels(load_labels('acdc').names).name == 'cityscapes'
    assert load_encoding('kitti', 'labelIds') == load_encoding('cityscapes', 'labelIds')


def own(folder, files):
    path = folder / 'own.yaml'
    path.write_text(CLASSES + files)
    return path


@pytest.mark.parametrize(('form', 'picture', 'ids'), [
    ('ids: 3, void: [0]', [[3, 4, 0]], [[0, 1, 255]]),
    ('ids: {weed: [7, 9], soil: 8}, void: []', [[7, 8, 9]], [[1, 0, 1]]),
    ('colors: own, void: []', [[[200, 0, 0], [90, 60, 30]]], [[1, 0]]),
    ('colors: {soil: [[1, 2, 3], [4, 5, 6]], weed: [7, 8, 9]}, void: [[0, 0, 0]]',
     [[[4, 5, 6], [7, 8, 9], [0, 0, 0]]], [[0, 1, 255]]),
    ('colors: {soil: [255, 0, 0], weed: [0, 255, 0]}, void: [], threshold: 128',
     [[[128, 3, 127]]], [[0]]),
])
def test_values_become_ids(form, picture, ids, tmp_path):
    encoding = load_encoding(own(tmp_path, f'files: {{own: {{{form}}}}}'))
    label = encoding.decode(np.array(picture, np.uint8), 'label.png')
    assert label.dtype == np.uint8 and label.tolist() == ids


def test_a_set_without_files_leaves_ids_as_they_are(tmp_path):
    assert load_encoding(own(tmp_path, '')) is None


@pytest.mark.parametrize(('files', 'words'), [
    ('files: {a: {ids: 0, void: []}, b: {ids: 1, void: []}}', "'files' must have one form, got"),
    ('files: [a]', "'files' must have one form, got ['a']"),
    ('files: {a: {ids: 0}}', "a must have 'ids' or 'colors', and 'void'"),
    ('files: {a: {ids: 0, colors: own, void: []}}', "a must have 'ids' or 'colors'"),
    ('files: {a: {ids: 0, void: [], more: 1}}', "a must have 'ids' or 'colors'"),
    ('files: {a: {ids: {soil: 1}, void: []}}', "for each class of 'own' and for no other"),
    ('files: {a: {ids: {soil: 1, weed: 1}, void: []}}', 'weed has a value that another has, too'),
    ('files: {a: {ids: 0, void: [1]}}', 'void has a value that another has, too'),
    ('files: {a: {ids: 0, void: [70000]}}', 'void must be an id from 0 to 65535 or a list'),
    ('files: {a: {ids: 0, void: [[0, 0, 0]]}}', 'void must be an id from 0'),
    ('files: {a: {colors: own, void: [0]}}', 'void must be a colour [r, g, b] or a list'),
    ('files: {a: {colors: own, void: [], threshold: 0}}', "'threshold' is from 1 to 255"),
    ('files: {a: {ids: 0, void: [], threshold: 9}}', "'threshold' is from 1 to 255"),
    ('files: {a: {colors: own, void: [], threshold: 9}}',
     "with 'threshold' a channel of a colour is 0 or 255, got [90, 60, 30]"),
    ('files: {a: {colors: own, void: [[0, 9, 0]], threshold: 128}}', 'a channel of a colour is 0'),
])
def test_files_that_do_not_say_all_are_refused(files, words, tmp_path):
    with pytest.raises(ValueError) as caught:
        load_encoding(own(tmp_path, files))
    assert words in str(caught.value) and 'own.yaml' in str(caught.value)


@pytest.mark.parametrize('text', ['classes_of: own', 'classes_of: 3', CLASSES + 'classes_of: voc'])
def test_a_set_that_takes_its_classes_from_none_other_is_refused(text, tmp_path):
    (tmp_path / 'own.yaml').write_text(text)
    with pytest.raises(ValueError, match="own.yaml: 'classes_of' must name another label set"):
        load_labels(tmp_path / 'own.yaml')
